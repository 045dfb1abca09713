//! A short soak. `cargo xtask soak` runs it for any time.

use std::time::Duration;

use mesh_tests::soak;

#[test]
fn nothing_fails_grows_or_is_miscounted_while_everything_changes_and_agents_are_killed() {
    println!("{}", soak::soak(Duration::from_secs(30), 7));
}
