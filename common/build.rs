//! The graph's message, compiled from `proto/` without a system protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Where this checkout lies now, not where this program was built: target directories are moved.
    let here = std::env::var("CARGO_MANIFEST_DIR")?;
    let root = std::path::Path::new(&here).join("../proto");
    let file = root.join("dagmar/v1/graph.proto");
    println!("cargo::rerun-if-changed={}", file.display());
    let descriptors = protox::compile([&file], [&root])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
