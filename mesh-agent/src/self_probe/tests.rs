use super::*;

#[test]
fn outcomes_of_two_families_are_merged_hook_by_hook() {
    let mut pass = Pass::from([("sock_ops", Outcome::Works)]);
    let lost = Outcome::Fails("lost".into());
    merge(
        &mut pass,
        [("sock_ops", lost.clone()), ("connect6", Outcome::Works)].into(),
    );
    assert_eq!(
        pass,
        [("connect6", Outcome::Works), ("sock_ops", lost)].into()
    );
    assert_eq!(failing(&pass), ["sock_ops"]);
}
