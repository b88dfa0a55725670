//! What `cargo xtask package` runs.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Write the indexes of a repository that has these packages, and print it as JSON
    Index {
        /// The directory for the indexes
        #[arg(long)]
        folder: Utf8PathBuf,
        packages: Vec<Utf8PathBuf>,
    },
}

fn main() -> Result<()> {
    let Command::Index { folder, packages } = Command::parse();
    let repository = packages::repository::index(&packages, &folder)?;
    println!("{}", serde_json::to_string(&repository)?);
    Ok(())
}
