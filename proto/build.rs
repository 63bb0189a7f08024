//! Compiles the services with protox: no protoc has to be installed.

use std::error::Error;

const FILES: [&str; 1] = ["dagmar/v1/run.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure()
        .bytes(".dagmar.v1.SubmitRequest.graph")
        .compile_fds(descriptors)?;
    Ok(())
}
