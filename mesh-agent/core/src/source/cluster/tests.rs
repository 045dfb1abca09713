use super::*;
use crate::{
    model::{Admission, Protocol, Update},
    source::{
        fixture::served,
        merge::{Holdings, merge},
    },
};

fn service_key(name: &str) -> Key {
    Key::Service(named(name))
}

fn slice_key(name: &str) -> Key {
    Key::EndpointSlice(named(name))
}

fn named(name: &str) -> ServiceName {
    ServiceName {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn service(name: &str, address: &str) -> Vec<u8> {
    format!(
        r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}","namespace":"shop"}},"spec":{{"clusterIP":"{address}","ports":[{{"port":80}}]}}}}"#
    )
    .into_bytes()
}

fn slice(name: &str, endpoint: &str) -> Vec<u8> {
    format!(
        r#"{{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{{"name":"{name}-1","namespace":"shop","labels":{{"kubernetes.io/service-name":"{name}"}}}},"addressType":"IPv4","ports":[{{"port":8080}}],"endpoints":[{{"addresses":["{endpoint}"]}}]}}"#
    )
    .into_bytes()
}

fn reader() -> ClusterReader {
    ClusterReader::new(None, Serve::All, FrontendOwners::default())
}

/// A reader with two services that were listed.
fn listed() -> ClusterReader {
    let mut reader = reader();
    KINDS.iter().for_each(|kind| reader.begin_list(*kind));
    reader.set(service_key("cart"), service("cart", "10.96.0.1"));
    reader.set(slice_key("cart-1"), slice("cart", "10.0.0.1"));
    reader.set(service_key("web"), service("web", "10.96.0.2"));
    reader.set(slice_key("web-1"), slice("web", "10.0.0.2"));
    KINDS.iter().for_each(|kind| reader.end_list(*kind));
    reader
}

fn merged(update: &SourceUpdate) -> Update {
    merge(&[update], &Admission::default(), &Holdings::default()).0
}

const CART: &str = "shop/cart 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready";
const WEB: &str = "shop/web 10.96.0.2 80 80/TCP: 10.0.0.2:8080 x1 ready";

fn errors(update: &SourceUpdate) -> Vec<String> {
    update.errors.iter().map(ToString::to_string).collect()
}

fn wrong(update: &SourceUpdate) -> Vec<String> {
    let line = |it: &Wrong| format!("{}: {}", it.origin, it.effect);
    update.wrong.iter().map(line).collect()
}

#[test]
fn services_get_the_endpoints_of_their_slices() {
    let mut reader = listed();
    let update = reader.update();
    assert!(update.complete);
    assert_eq!(errors(&update), [""; 0]);
    assert_eq!(served(&merged(&update)), [CART, WEB]);
    assert!(!reader.has_news());
}

#[test]
fn kind_that_was_not_listed_leaves_the_update_incomplete() {
    let mut reader = reader();
    reader.begin_list(Kind::Service);
    reader.set(service_key("cart"), service("cart", "10.96.0.1"));
    reader.end_list(Kind::Service);
    let update = reader.update();
    assert!(!update.complete);
    assert_eq!(merged(&update).uncertain, [named("cart")].into());
}

#[test]
fn changed_slice_changes_its_service_alone() {
    let mut reader = listed();
    let before = reader.update().services[&None].services.clone();
    reader.set(slice_key("cart-1"), slice("cart", "10.0.0.9"));
    let after = reader.update().services[&None].services.clone();
    let web = named("web");
    assert!(Arc::ptr_eq(
        before.get(&web).unwrap(),
        after.get(&web).unwrap()
    ));
    let cart = after.get(&named("cart")).unwrap();
    assert_eq!(cart.ports[0].endpoints[0].address.to_string(), "10.0.0.9");
}

#[test]
fn removed_objects_are_gone() {
    let mut reader = listed();
    reader.update();
    reader.remove(slice_key("cart-1"));
    reader.remove(service_key("web"));
    let update = reader.update();
    assert_eq!(served(&merged(&update)), ["shop/cart 10.96.0.1 80 80/TCP:"]);
    let notes: Vec<_> = merged(&update)
        .notes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        notes,
        [
            "EndpointSlice shop/web-1: endpoints of service shop/web, which is not configured, are not used"
        ]
    );
}

#[test]
fn objects_that_a_new_list_does_not_name_are_gone() {
    let mut reader = listed();
    reader.update();
    reader.begin_list(Kind::Service);
    reader.set(service_key("cart"), service("cart", "10.96.0.1"));
    assert_eq!(served(&merged(&reader.update())), [CART, WEB]);
    reader.end_list(Kind::Service);
    assert_eq!(served(&merged(&reader.update())), [CART]);
}

#[test]
fn list_that_is_started_again_removes_nothing_before_its_end() {
    let mut reader = listed();
    reader.update();
    reader.begin_list(Kind::Service);
    reader.begin_list(Kind::Service);
    reader.set(service_key("web"), service("web", "10.96.0.2"));
    reader.set(service_key("cart"), service("cart", "10.96.0.1"));
    reader.end_list(Kind::Service);
    assert_eq!(served(&merged(&reader.update())), [CART, WEB]);
}

#[test]
fn wrong_object_stays_in_its_last_good_version() {
    let mut reader = listed();
    reader.update();
    reader.set(service_key("cart"), service("cart", "10.96.0.999"));
    reader.set(service_key("new"), service("new", "nowhere"));
    let update = reader.update();
    assert_eq!(served(&merged(&update)), [CART, WEB]);
    assert_eq!(
        errors(&update),
        [
            "Service shop/cart: spec.clusterIP: expected an IPv4 or IPv6 address, found `10.96.0.999`",
            "Service shop/new: spec.clusterIP: expected an IPv4 or IPv6 address, found `nowhere`",
        ]
    );
    assert_eq!(
        wrong(&update),
        [
            "Service shop/cart: its last good version stays in force",
            "Service shop/new: it is left out: no good version of it is known",
        ]
    );
    assert_eq!(update.missing, [(named("new"), Kind::Service)]);
    reader.set(service_key("cart"), service("cart", "10.96.0.3"));
    reader.remove(service_key("new"));
    assert_eq!(errors(&reader.update()), [""; 0]);
}

#[test]
fn frontend_belongs_to_its_first_service_until_that_gives_it_up() {
    let mut reader = listed();
    reader.update();
    reader.set(service_key("api"), service("api", "10.96.0.1"));
    let update = reader.update();
    assert_eq!(served(&merged(&update)), [CART, WEB]);
    assert_eq!(
        errors(&update),
        [
            "Service shop/api: service shop/api asks for 10.96.0.1 port 80/TCP, which belongs to service shop/cart (in Service shop/cart): give one of them another address or port"
        ]
    );
    reader.remove(service_key("cart"));
    let update = reader.update();
    assert_eq!(errors(&update), [""; 0]);
    assert_eq!(
        served(&merged(&update)),
        ["shop/api 10.96.0.1 80 80/TCP:", WEB]
    );
}

#[test]
fn service_keeps_the_frontend_that_the_kernel_gives_it() {
    let place = ("10.96.0.1".parse().unwrap(), 80, Protocol::Tcp);
    let holders = [(place, named("cart"))].into_iter().collect();
    let mut reader = ClusterReader::new(None, Serve::All, holders);
    reader.set(service_key("api"), service("api", "10.96.0.1"));
    reader.set(service_key("cart"), service("cart", "10.96.0.1"));
    assert_eq!(
        wrong(&reader.update()),
        ["Service shop/api: it is left out: no good version of it is known"]
    );
}

#[test]
fn stored_texts_restore_the_reader() {
    let mut reader = listed();
    let before = reader.update();
    let mut next = self::reader();
    for (key, text) in reader.texts() {
        next.set(key.clone(), text.to_vec());
    }
    let after = next.update();
    assert!(!after.complete);
    assert_eq!(
        after.services[&None].services,
        before.services[&None].services
    );
}

#[test]
fn objects_of_a_named_cluster_name_it() {
    let mut reader = ClusterReader::new(Some("east".into()), Serve::All, FrontendOwners::default());
    reader.set(service_key("cart"), service("cart", "x"));
    assert_eq!(
        errors(&reader.update()),
        [
            "Service shop/cart of cluster east: spec.clusterIP: expected an IPv4 or IPv6 address, found `x`"
        ]
    );
}
