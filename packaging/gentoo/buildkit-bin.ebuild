# Copyright @YEAR@ Gentoo Authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit systemd

MY_PV="${PV/_/-}"

DESCRIPTION="Concurrent, cache-efficient builder of container images (binary for riscv64)"
HOMEPAGE="https://github.com/@REPOSITORY@"
SRC_URI="https://github.com/@REPOSITORY@/releases/download/buildkit-v${MY_PV}-riscv64/buildkit-v${MY_PV}.linux-riscv64.tar.gz"
S="${WORKDIR}"

LICENSE="Apache-2.0"
# What is linked in
LICENSE+=" BSD BSD-2 CC-BY-SA-4.0 MIT MPL-2.0"
SLOT="0"
KEYWORDS="-* ~riscv"
RESTRICT="strip"

RDEPEND="
	app-containers/runc
	!app-containers/buildkit
"

QA_PREBUILT="usr/bin/buildctl usr/bin/buildkitd"

src_install() {
	dobin bin/buildctl bin/buildkitd
	insinto /etc/buildkit
	doins "${FILESDIR}"/buildkitd.toml
	newinitd "${FILESDIR}"/buildkit.initd buildkit
	newconfd "${FILESDIR}"/buildkit.confd buildkit
	systemd_dounit "${FILESDIR}"/buildkit.{service,socket}
}
