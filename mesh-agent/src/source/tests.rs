//! Tests of the source layer, for single files and over time.

mod address_families;
mod admission;
mod bounds;
mod dir;
mod document;
mod documented;
mod frontend_owners;
mod health;
mod kubernetes;
mod kubernetes_annotations;
mod last_good;
mod left_out;
mod locality;
mod lost_objects;
mod missing;
mod native;
mod nested_services;
mod objects;
mod sources;
mod traffic;
mod traffic_errors;
mod truncated_in_place;
mod truncation;
mod watch;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    dir::DirectoryReader,
    file::{File, Identity},
    merge::merge,
};
use crate::{
    model::{Addresses, Service, Update, Wrong},
    source::Serve,
};

/// Parses one file.
fn parse(text: &str) -> File {
    parse_for(text, Serve::All)
}

/// Parses one file with this `serve` setting.
fn parse_for(text: &str, serve: Serve) -> File {
    File::parse(
        &Arc::new(PathBuf::from("a.yaml")),
        Identity {
            device: 0,
            inode: 0,
        },
        text.as_bytes().to_vec(),
        serve,
    )
}

/// Returns the errors of a text, as users see them.
fn problems(text: &str) -> Vec<String> {
    parse(text).errors.iter().map(ToString::to_string).collect()
}

/// Formats a service, one line per port: `shop/cart 10.96.0.1 http 80/TCP: 10.0.0.1:8080 x1 ready`.
fn lines(service: &Service) -> Vec<String> {
    let addresses = match &service.addresses {
        Addresses::Cluster(addresses) | Addresses::Fixed(addresses) => addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(","),
        Addresses::Auto => "auto".to_owned(),
    };
    let line = |port: &crate::model::ServicePort| {
        let endpoints = port.endpoints.iter().map(|it| {
            let address = std::net::SocketAddr::new(it.address, it.port);
            format!(" {address} x{} {}", it.weight, it.condition)
        });
        let endpoints: Vec<String> = endpoints.collect();
        let label = port.label();
        format!(
            "{} {addresses} {label} {}/{}:{}",
            service.name,
            port.port,
            port.protocol,
            endpoints.join(",")
        )
    };
    service.ports.iter().map(line).collect()
}

/// Reads a text as the only file.
fn joined(text: &str, serve: Serve) -> Update {
    let file = parse_for(text, serve);
    assert_eq!(file.errors, []);
    let mut update = Update {
        complete: true,
        ..Update::default()
    };
    merge(
        &BTreeMap::from([(None, vec![&*file.contents])]),
        None,
        &mut update,
    );
    update
}

/// Returns the lines of all services.
fn served(update: &Update) -> Vec<String> {
    update
        .services
        .values()
        .flat_map(|service| lines(service))
        .collect()
}

/// Returns the names of all services.
fn names(update: &Update) -> Vec<String> {
    update
        .services
        .keys()
        .map(|name| name.name.clone())
        .collect()
}

/// Returns the errors without the temporary directory.
fn errors(update: &Update, node: &Node) -> Vec<String> {
    let directory = format!("{}/", node.directory.path().display());
    update
        .errors
        .iter()
        .map(|error| error.to_string().replace(&directory, ""))
        .collect()
}

/// Returns the objects that are not in force as written, and what is in force instead.
fn wrong(update: &Update, node: &Node) -> Vec<String> {
    let directory = format!("{}/", node.directory.path().display());
    let line =
        |it: &Wrong| format!("{}: {}: {}", it.origin, it.name, it.effect).replace(&directory, "");
    update.wrong.iter().map(line).collect()
}

/// A native service with one endpoint.
fn service(name: &str, address: &str) -> String {
    format!(
        "- {{name: {name}, address: {address}, ports: [{{port: 80}}], endpoints: [{{address: 10.0.0.1}}]}}\n"
    )
}

/// A file with one native service.
fn one(name: &str, address: &str) -> String {
    format!("services:\n{}", service(name, address))
}

/// The same as JSON.
fn one_json(name: &str, address: &str) -> String {
    let ports = r#"[{"port": 80}]"#;
    let endpoints = r#"[{"address": "10.0.0.1"}]"#;
    format!(
        r#"{{"services": [{{"name": "{name}", "address": "{address}", "ports": {ports}, "endpoints": {endpoints}}}]}}"#
    )
}

/// A services directory and its reader.
struct Node {
    directory: tempfile::TempDir,
    reader: DirectoryReader,
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let reader = DirectoryReader::new(vec![directory.path().to_owned()], false);
        Self { directory, reader }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Replaces a file atomically.
    fn replace(&self, name: &str, text: &str) {
        self.write("new", text);
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn read(&mut self) -> Update {
        self.reader.read()
    }
}
