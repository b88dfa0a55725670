//! Releases that others can shape: damaged ones neither panic nor change a step's target.

use super::*;
use crate::github::GitHubStep;
use crate::os::mutated_input;

#[test]
fn a_damaged_list_of_releases_leads_to_bounded_steps_on_this_release_alone() {
    let desired = desired("v0.32.2");
    let sample = r#"[{"id":1,"tag_name":"buildkit-v0.32.2-riscv64","target_commitish":"main","name":"BuildKit v0.32.2 for RISC-V64",
        "body":"What it is.","draft":true,"prerelease":false,"html_url":"https://github.com/o/n/releases/1",
        "upload_url":"https://uploads.github.com/x{?name}","assets":[{"id":2,"name":"buildkitd","state":"uploaded",
        "size":1000,"digest":null,"browser_download_url":"https://github.com/o/n/d"},{"id":3,"name":"it's; $(x)",
        "state":"starter","size":0,"digest":"sha256:","browser_download_url":""}]}]"#;
    let whole: Vec<Release> = serde_json::from_str(sample).expect("releases");
    assert_eq!(whole[0].assets.len(), 2);
    arbtest::arbtest(|source| {
        let releases = serde_json::from_str::<Vec<Release>>(&mutated_input::text(source, sample)?);
        let Ok(releases) = releases else { return Ok(()) };
        let assets: usize = releases.iter().map(|release| release.assets.len()).sum();
        let Ok(plan) = plan(&desired, &Observed { releases, ..Observed::default() }) else { return Ok(()) };
        // Create or edit, publish, six for the image; each file is removed and uploaded at most once.
        assert!(plan.steps.len() <= 2 + 6 + desired.files.len() + assets, "{} steps", plan.steps.len());
        for step in &plan.steps {
            let line = step.to_string();
            if let Step::GitHub(GitHubStep::RemoveAsset { asset, .. }) = step {
                let words = shlex::split(&line).expect("shell words");
                let expected = ["gh", "release", "delete-asset", "buildkit-v0.32.2-riscv64", asset.as_str(), "--yes"];
                assert_eq!(words[..6], expected);
            }
        }
        Ok(())
    });
}
