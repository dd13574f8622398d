//! Compiles the protocols with protox, so that no protoc is needed.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["peer.proto", "backup.proto", "otlp.proto", "etcd/rpc.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    let mut descriptors = protox::compile(
        ["trireme/v1/store.proto", "trireme/v1/maintenance.proto", "trireme/v1/cluster.proto"],
        ["proto"],
    )?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors.clone())?;
    // What clients can ask for by reflection; the comments stay in the sources.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("trireme.v1.descriptors"), descriptors.encode_to_vec())?;
    Ok(())
}
