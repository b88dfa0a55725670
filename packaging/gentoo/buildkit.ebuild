# Copyright @YEAR@ Gentoo Authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit go-module systemd

MY_PV="${PV/_/-}"

DESCRIPTION="Concurrent, cache-efficient builder of container images"
HOMEPAGE="https://github.com/moby/buildkit"
SRC_URI="https://github.com/moby/buildkit/archive/refs/tags/v${MY_PV}.tar.gz -> ${P}.tar.gz"
S="${WORKDIR}/${PN}-${MY_PV}"

LICENSE="Apache-2.0"
# What is linked in
LICENSE+=" BSD BSD-2 CC-BY-SA-4.0 MIT MPL-2.0"
SLOT="0"
KEYWORDS="~riscv"

RDEPEND="
	app-containers/runc
	!app-containers/buildkit-bin
"
BDEPEND=">=dev-lang/go-@GO@"

src_compile() {
	local package=github.com/moby/buildkit
	# buildx refuses a daemon without the commit.
	local stamp="-X ${package}/version.Version=v${MY_PV} -X ${package}/version.Package=${package}"
	stamp+=" -X ${package}/version.Revision=@COMMIT@"
	# Upstream's own flags: a static daemon, for any libc.
	local -x CGO_ENABLED=0
	ego build -ldflags "${stamp}" ./cmd/buildctl
	ego build -tags "osusergo netgo static_build seccomp" -ldflags "${stamp} -extldflags '-static'" ./cmd/buildkitd
}

src_install() {
	dobin buildctl buildkitd
	insinto /etc/buildkit
	doins "${FILESDIR}"/buildkitd.toml
	newinitd "${FILESDIR}"/buildkit.initd buildkit
	newconfd "${FILESDIR}"/buildkit.confd buildkit
	systemd_dounit "${FILESDIR}"/buildkit.{service,socket}
	einstalldocs
}
