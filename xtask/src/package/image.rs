//! The OCI image, made without a container engine: one layer with both programs, and four JSON
//! documents that describe it, as the image specification has them.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>
//!
//! Written without the crate `oci-spec`: the documents have about ten fields each, and the crate would
//! add 25 dependencies to every build of xtask.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    architecture,
    archive::hex,
    contents::Contents,
    megabytes,
    release::Release,
    report,
    tree::{Node, Tree, gzip},
};

/// Name of the image in the DaemonSet. A name without a host would be pulled from a public registry.
const NAME: &str = "localhost/mesh-agent";

/// Mount points, which must exist because the root of a container is read-only.
const MOUNT_POINTS: [&str; 8] = [
    "dev",
    "etc/mesh-agent/services.d",
    "host/cgroup",
    "proc",
    "run/mesh-agent",
    "sys",
    "tmp",
    "var/lib/mesh-agent",
];

/// Writes an archive of an image layout.
pub fn pack(contents: &Contents, release: &Release, output: &Path) -> anyhow::Result<()> {
    let mut files = Contents::join([&contents.programs, &contents.documents]);
    for path in MOUNT_POINTS {
        files.directory(path);
    }
    let archive = files.with_parents().tar(release.epoch)?;
    let size: usize = archive.len();
    let mut layout = Layout::default();
    let rootfs = hex(&Sha256::digest(&archive));
    let layer = layout.blob("layer.v1.tar+gzip", gzip(&archive)?);
    let config = layout.document("config.v1+json", config(release, &rootfs)?);
    let labels = labels(release)?;
    let document = json!({
        "schemaVersion": 2,
        "mediaType": media_type("manifest.v1+json"),
        "config": config,
        "layers": [layer],
        "annotations": labels,
    });
    let mut manifest = layout.document("manifest.v1+json", document);
    let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    let reference = format!("{NAME}:{}", release.version);
    manifest["annotations"] = json!({
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": release.version,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type("index.v1+json"),
        "manifests": [manifest],
    });
    layout.files.text("index.json", text(index));
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    layout.files.text("oci-layout", text(version));
    let file = output.join(format!("mesh-agent-{}-image.tar", release.version));
    fs::write(&file, layout.files.with_parents().tar(release.epoch)?)?;
    report(&file, &digest)?;
    println!(
        "        {reference}, {} unpacked",
        megabytes(size.try_into()?)
    );
    Ok(())
}

/// Files of an image layout.
#[derive(Default)]
struct Layout {
    files: Tree,
}

impl Layout {
    /// Adds a blob, and returns its descriptor.
    fn blob(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let digest = hex(&Sha256::digest(&bytes));
        let descriptor = json!({
            "mediaType": media_type(kind),
            "digest": digest,
            "size": bytes.len(),
        });
        let path = format!("blobs/{}", digest.replace(':', "/"));
        self.files.0.insert(path, Node::File(0o644, bytes));
        descriptor
    }

    fn document(&mut self, kind: &str, document: Value) -> Value {
        self.blob(kind, text(document).into_bytes())
    }
}

fn media_type(kind: &str) -> String {
    format!("application/vnd.oci.image.{kind}")
}

/// Sorts the keys: their order depends on features of the JSON library that other crates choose.
fn text(mut document: Value) -> String {
    document.sort_all_objects();
    document.to_string()
}

fn config(release: &Release, rootfs: &str) -> anyhow::Result<Value> {
    let created = release.created()?;
    Ok(json!({
        "created": created,
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": ["mesh-agent"],
            "Cmd": ["run"],
            "Labels": labels(release)?,
        },
        "rootfs": { "type": "layers", "diff_ids": [rootfs] },
        "history": [{ "created": created, "created_by": "cargo xtask package image" }],
    }))
}

fn labels(release: &Release) -> anyhow::Result<Value> {
    let mut labels = json!({
        "org.opencontainers.image.created": release.created()?,
        "org.opencontainers.image.description": "A service mesh in the socket layer, without sidecars",
        "org.opencontainers.image.licenses": "Apache-2.0 OR MIT",
        "org.opencontainers.image.title": "mesh-agent",
        "org.opencontainers.image.version": release.version,
    });
    if let Some(commit) = &release.commit {
        labels["org.opencontainers.image.revision"] = json!(commit);
    }
    Ok(labels)
}
