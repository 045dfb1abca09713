//! Reads Kubernetes objects as `kubectl get -o yaml` prints them. Fields without an effect here are
//! ignored.
//!
//! A service and its endpoints are different objects and may be in different files;
//! [`join`](super::join) joins them.

mod annotation;
mod frontend;
mod service;
mod slice;
mod traffic;

use super::{
    contents::Contents, document::shortened, draft::Draft, field::Field, object::WrongObject,
};
use crate::similar_names::is_similar;

/// Reads an object, or the unread rest of a list.
pub fn read(root: Field<'_>, into: &mut Draft<'_>) {
    match Kind::known(root).and_then(Kind::of_elements) {
        Some(of_list) => {
            let has_version = Kind::of(root).is_some_and(|kind| kind.has_version(root));
            if root.problems() > 0 {
                into.wrong.push(WrongObject::unknown(root.line()));
            }
            // Reports a field that is not a list.
            _ = root.list("items");
            // The kind of the elements of a list of another version is unknown, unless they name
            // it.
            for element in into.postponed().into_iter().filter(|_| has_version) {
                read_as(root.nth(element), of_list, root.problems(), into);
            }
        }
        None => {
            into.forget_elements();
            read_as(root, None, 0, into);
        }
    }
}

/// Reads an element of a list that names its own kind; other elements need the kind of the list.
pub fn read_element(object: Field<'_>, into: &mut Draft<'_>) -> bool {
    let says = Kind::known(object).is_some();
    if says {
        read_as(object, None, 0, into);
    }
    says
}

/// Reads an object. Elements of a `ServiceList` may omit their kind. The first `known` problems are
/// not the object's.
fn read_as(object: Field<'_>, of_list: Option<Kind<'_>>, known: usize, into: &mut Draft<'_>) {
    let kind = object.mapping().and_then(|object| {
        Kind::of(object)
            .or(of_list)
            .or_else(|| object.error(NO_KIND))
    });
    let Some(kind) = kind else {
        return into.wrong.push(WrongObject::unknown(object.line()));
    };
    let (origin, serve) = (into.origin(object), into.serve());
    let has_version = kind.has_version(object);
    match kind {
        Kind {
            group: "",
            kind: "Service",
        } => {
            let wrong = || WrongObject::service(object, object.get("metadata"));
            let read =
                |into: &mut Contents| service::read(object, origin, serve, &mut into.manifests);
            into.object(object, known, wrong, |into| {
                _ = has_version.then(|| read(into));
            });
        }
        Kind {
            group: "",
            kind: "Endpoints",
        } => {
            let wrong = || WrongObject::endpoints(object);
            let read =
                |into: &mut Contents| slice::read_endpoints(object, &origin, &mut into.manifests);
            into.object(object, known, wrong, |into| {
                _ = has_version.then(|| read(into));
            });
        }
        Kind {
            group: "discovery.k8s.io",
            kind: "EndpointSlice",
        } => {
            let wrong = || WrongObject::slice(object, slice::SERVICE_NAME);
            let read = |into: &mut Contents| slice::read_slice(object, origin, &mut into.manifests);
            into.object(object, known, wrong, |into| {
                _ = has_version.then(|| read(into));
            });
        }
        _ if !has_version => into.wrong.push(WrongObject::unknown(object.line())),
        Kind { kind: name, .. } if let Some(meant) = kind.misspelled() => {
            let field = object.get("kind").unwrap_or(object);
            field.report(format!("expected {meant}, found `{}`", shortened(name)));
            into.wrong.push(WrongObject::unknown(object.line()));
        }
        Kind { group, kind: name } => match kind.of_elements() {
            Some(of_list) => object
                .list("items")
                .for_each(|item| read_as(item, of_list, item.problems(), into)),
            None if versions(name).is_empty() => {
                into.contents.manifests.note(
                    origin,
                    format!("objects of kind {} are not used", shortened(name)),
                );
            }
            None => {
                let message = format!(
                    "objects of kind {name} of {} are not used",
                    shortened(group)
                );
                into.contents.manifests.note(origin, message);
            }
        },
    }
}

const NO_KIND: &str = "expected `services`, or the `apiVersion` and `kind` of a Kubernetes object";

/// Kind of an object and its API group, without the version.
#[derive(Clone, Copy)]
struct Kind<'a> {
    group: &'a str,
    kind: &'a str,
}

impl<'a> Kind<'a> {
    /// Returns the kind that an object names; reports nothing if it names none.
    fn known(object: Field<'a>) -> Option<Self> {
        let text = |name: &str| object.get(name)?.value().text();
        let (kind, version) = (text("kind")?, text("apiVersion")?);
        Some(Self {
            group: group(version),
            kind,
        })
    }

    /// Returns the kind of a list's elements, if the list's kind implies it, or nothing if this is
    /// no list.
    fn of_elements(self) -> Option<Option<Self>> {
        let kind = self.kind.strip_suffix("List")?;
        Some((!kind.is_empty()).then_some(Self { kind, ..self }))
    }

    fn of(object: Field<'a>) -> Option<Self> {
        let kind = object.get("kind")?.text()?;
        let version = object.required("apiVersion")?.text()?;
        Some(Self {
            group: group(version),
            kind,
        })
    }

    /// Returns the kind that was most likely meant, if this kind does not exist in its group.
    fn misspelled(self) -> Option<&'static str> {
        let name = self.kind.strip_suffix("List").unwrap_or(self.kind);
        let known = [
            ("", "Service"),
            ("", "Endpoints"),
            ("discovery.k8s.io", "EndpointSlice"),
        ];
        let mut ours = known
            .into_iter()
            .filter(|(group, kind)| *group == self.group && *kind != name);
        let is_other = versions(name).is_empty() && !name.is_empty();
        ours.find(|(_, kind)| is_other && is_similar(kind, name))
            .map(|(_, kind)| kind)
    }

    /// Whether the `apiVersion` of an object exists for this kind; reports one that does not.
    fn has_version(self, object: Field<'_>) -> bool {
        object
            .get("apiVersion")
            .is_none_or(|version| self.check_version(version).is_some())
    }

    /// Reports an `apiVersion` that does not exist for this kind.
    fn check_version(self, version: Field<'_>) -> Option<()> {
        let (versions, text) = (versions(self.kind), version.text()?);
        // The same name in another group is another kind.
        let is_ours =
            self.group.is_empty() || versions.iter().any(|known| group(known) == self.group);
        match versions {
            _ if text.is_empty() => version.expected("an API version"),
            [_, ..] if is_ours && !versions.contains(&text) => {
                version.expected(&versions.join(" or "))
            }
            _ => Some(()),
        }
    }
}

/// Returns the API group of an `apiVersion`; the core group is empty.
fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Returns the values of `apiVersion` for a kind that is used, or for a list of it; none for other
/// kinds.
fn versions(kind: &str) -> &'static [&'static str] {
    match kind.strip_suffix("List").unwrap_or(kind) {
        "" | "Service" | "Endpoints" => &["v1"],
        "EndpointSlice" => &["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"],
        _ => &[],
    }
}
