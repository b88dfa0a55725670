//! What the builder builds: an image that is loaded into the engine, and one for two platforms with provenance, whose
//! build cache is exported, and imported again once the builder has forgotten it.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use oci::layout::Image;

use crate::os::process::{Run, run};
use crate::smoke::build_results;
use crate::smoke::builder::buildx::Builder;

const DOCKERFILE: &str = "FROM scratch\nCOPY hello /hello\n";
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/riscv64"];
const BUILD_LIMIT: Duration = Duration::from_secs(180);

impl Builder<'_> {
    /// Builds an image with the builder, and reads it back from the engine.
    pub fn build(&self) -> Result<String> {
        self.write_context()?;
        let built = &self.names.built;
        self.build_with(run!("--platform linux/riscv64 --load --tag {built}")).read()?;
        let saved = self.work.join("built.tar");
        self.engine.save(built, &saved)?;
        let image = Image::open(&saved)?;
        let platform = image.config.platform.to_string();
        ensure!(platform == "linux/riscv64", "the built image is for {platform}, not linux/riscv64");
        let mut found = String::new();
        image.contents(
            &image.files()?,
            |path, _| path == "hello",
            |_, _, content| {
                content.read_to_string(&mut found).map(|_| ()).context("cannot read /hello of the built image")
            },
        )?;
        let content = self.content();
        ensure!(found.trim_end() == content, "/hello of the built image holds {found:?} instead of {content:?}");
        Ok("an image for linux/riscv64 was built, loaded and read back".to_owned())
    }

    /// Builds for two platforms with provenance, exports the build cache, and reads both results back.
    pub fn attest(&self) -> Result<String> {
        self.write_context()?;
        let platforms = PLATFORMS.join(",");
        // Only what has a name is the subject of its attestations.
        let output = format!("type=oci,dest=both.tar,name={}", self.names.built);
        let cache = "type=local,dest=cache,mode=max";
        self.build_with(run!("--platform {platforms} --provenance mode=max --output {output} --cache-to {cache}"))
            .read()?;
        let built = build_results::read(&self.work.join("both.tar"))?;
        let content = self.content();
        let found: Vec<&str> = built.iter().map(|built| built.platform.as_str()).collect();
        ensure!(found == PLATFORMS, "the result is for {}, not {platforms}", found.join(","));
        for built in &built {
            let platform = &built.platform;
            ensure!(built.written == content, "/hello for {platform} holds {:?} instead of {content:?}", built.written);
            let is_provenance = |kind: &String| kind.starts_with("https://slsa.dev/provenance/");
            ensure!(built.attested.iter().any(is_provenance), "the image for {platform} has no provenance");
        }
        Ok(format!("built for {platforms}, each with {}", built[0].attested.join(", ")))
    }

    /// Empties the builder, and builds the same again with the cache that [`Self::attest`] exported.
    pub fn import_cache(&self) -> Result<String> {
        let (builder, platforms) = (&self.names.builder, PLATFORMS.join(","));
        self.buildx(run!("prune --builder {builder} --all --force")).limit(BUILD_LIMIT).read()?;
        let (output, cache) = ("type=oci,dest=again.tar", "type=local,src=cache");
        let again =
            self.build_with(run!("--platform {platforms} --provenance false --output {output} --cache-from {cache}"));
        let output = again.output()?;
        let progress = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
        ensure!(output.status.success(), "the build with the imported cache failed: {}", progress.trim_end());
        let (copies, cached) = copies(&progress);
        ensure!(copies > 0 && cached == copies, "{cached} of {copies} steps came from the imported cache: {progress}");
        build_results::read(&self.work.join("again.tar"))?;
        Ok(format!("exported, and after a prune imported: {cached} of {copies} steps came from it"))
    }

    /// Builds the context with these options, which name files as they are in the directory of this run.
    fn build_with(&self, options: Run) -> Run {
        let builder = &self.names.builder;
        let build = options.below("build").args(["--builder", builder, "--progress", "plain", "context"]);
        self.buildx(build).directory(&self.work).limit(BUILD_LIMIT)
    }

    fn write_context(&self) -> Result<()> {
        let context = self.work.join("context");
        let write = || {
            fs::create_dir_all(&context)?;
            fs::write(context.join("Dockerfile"), DOCKERFILE)?;
            fs::write(context.join("hello"), self.content())
        };
        write().with_context(|| format!("cannot write {context}"))
    }

    fn content(&self) -> String {
        format!("from {}", self.names.builder)
    }
}

/// How many steps copy files, and how many of these came from a cache, from the progress of a build: `#6 [linux/amd64
/// 1/1] COPY hello /hello`, later `#6 CACHED`.
fn copies(progress: &str) -> (usize, usize) {
    let numbered = || progress.lines().filter_map(|line| line.strip_prefix('#')?.split_once(' '));
    let number = |(number, _)| number;
    let copies: BTreeSet<&str> = numbered().filter(|(_, what)| what.contains("] COPY ")).map(number).collect();
    let cached: BTreeSet<&str> = numbered().filter(|(_, what)| *what == "CACHED").map(number).collect();
    (copies.len(), copies.intersection(&cached).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_was_not_run_again_came_from_the_cache() {
        let progress = "#4 importing cache manifest from local:1\n#5 [linux/amd64 1/1] COPY hello /hello\n\
            #6 [linux/riscv64 1/1] COPY hello /hello\n#5 CACHED\n\n#6 DONE 0.1s\n#7 exporting to oci image format\n#7 CACHED\n";
        assert_eq!(copies(progress), (2, 1));
        assert_eq!(copies(&progress.replace("#6 DONE 0.1s", "#6 CACHED")), (2, 2));
        assert_eq!(copies("#1 CACHED\n"), (0, 0));
    }
}
