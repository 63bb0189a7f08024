//! Seeds of every target, written by our own encoders into a directory for each.

#[expect(dead_code, reason = "only their seeds are written")]
mod targets;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let into = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "corpus".into()));
    for target in targets::ALL {
        let directory = into.join(target.name);
        std::fs::create_dir_all(&directory)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
