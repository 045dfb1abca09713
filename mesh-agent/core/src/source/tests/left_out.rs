//! Reports about services that are left out.

use super::{
    Node,
    kubernetes::{SPEC, declared, slice},
    names, one, wrong,
};

#[test]
fn second_definition_of_a_service_names_the_one_in_force() {
    let mut node = Node::new();
    node.write("a.yaml", &one("cart", "10.96.0.1"));
    node.read();
    node.write("b.yaml", &one("cart", "10.96.0.2"));
    let expected = format!(
        "b.yaml:2: service default/cart: it is left out: the one in {}:2 is in force",
        node.path("a.yaml").display()
    );
    let update = node.read();
    let told = wrong(&update, &node);
    assert_eq!(names(&update), ["cart"]);
    assert!(
        expected.ends_with(told[0].rsplit("the one in ").next().unwrap()),
        "{told:?}"
    );
    assert!(
        told[0].starts_with("b.yaml:2: service default/cart: it is left out: the one in "),
        "{told:?}"
    );
}

#[test]
fn slices_of_a_service_that_is_left_out_say_where_it_is_wrong() {
    let mut node = Node::new();
    let broken = declared(SPEC).replace("10.96.0.1", "10.96.0");
    node.write("a.yaml", &(broken + &slice("[{addresses: [10.0.0.1]}]")));
    let update = node.read();
    let notes: Vec<String> = update
        .notes
        .iter()
        .map(|note| note.message.clone())
        .collect();
    let origin = &update.wrong[0].origin;
    assert_eq!(
        notes,
        [format!(
            "endpoints of service default/a, which is left out because of {origin}, are not used"
        )]
    );
}
