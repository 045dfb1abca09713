use super::*;

#[test]
fn states_of_two_families_are_merged_hook_by_hook() {
    let mut pass = Pass::from([("sock_ops", HookState::Works)]);
    let lost = HookState::Fails("lost".into());
    merge(
        &mut pass,
        [("sock_ops", lost.clone()), ("connect6", HookState::Works)].into(),
    );
    assert_eq!(
        pass,
        [("connect6", HookState::Works), ("sock_ops", lost)].into()
    );
    assert_eq!(failing(&pass), ["sock_ops"]);
}
