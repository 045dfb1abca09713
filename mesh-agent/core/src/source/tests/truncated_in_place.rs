//! Files that are rewritten in place and lost objects at their end.

use std::time::{Duration, Instant};

use super::{Node, errors, names, served, wrong};
use crate::model::{Scope, Update};

/// A file with a header that changes with each write, and these services.
fn generated(number: u32, names: &[&str]) -> String {
    let one = |name: &&str| {
        let last = name.as_bytes()[0];
        format!(
            "- name: {name}\n  address: 10.96.0.{last}\n  ports:\n  - port: 80\n  endpoints:\n  - address: 10.0.0.1\n"
        )
    };
    format!("# generated {number}\nservices:\n") + &names.iter().map(one).collect::<String>()
}

/// A node that serves a, b and c from one file.
fn node() -> (Node, Update) {
    let mut node = Node::new();
    node.write("x.yaml", &generated(1, &["a", "b", "c"]));
    let whole = node.read();
    assert_eq!(
        (names(&whole), &whole.errors[..]),
        (["a", "b", "c"].map(str::to_owned).to_vec(), &[][..])
    );
    (node, whole)
}

#[test]
fn a_file_with_another_head_that_lost_its_end_in_place_removes_nothing() {
    let (mut node, whole) = node();
    node.write("x.yaml", &generated(2, &["a", "b"]));
    for _ in 0..2 {
        let update = node.read();
        assert_eq!((served(&update), update.complete), (served(&whole), true));
        let expected = "x.yaml:15: may be half-written: it was changed in place and no longer has service default/c, \
                        which was its last object, so the services stay as they were until the file has not changed for \
                        10 seconds; to have it at once, move a new file into its place, or add a comment line at its end";
        assert_eq!(errors(&update, &node), [expected]);
        assert_eq!(
            wrong(&update, &node),
            ["x.yaml:1: the file: its last good version stays in force"]
        );
        assert_eq!(update.wrong[0].scope, Scope::File);
    }
    node.write("x.yaml", &generated(2, &["a", "b", "d"]));
    let update = node.read();
    assert_eq!(
        (names(&update), update.errors),
        (["a", "b", "d"].map(str::to_owned).to_vec(), vec![])
    );
}

#[test]
fn a_file_with_another_head_cut_at_any_byte_removes_nothing() {
    let text = generated(2, &["a", "b", "c"]);
    let (mut node, whole) = node();
    for length in (0..text.len() - 1).rev() {
        node.write("x.yaml", &text[..length]);
        let update = node.read();
        assert_eq!(served(&update), served(&whole), "{}", &text[..length]);
        assert!(!update.errors.is_empty(), "{}", &text[..length]);
    }
    node.write("x.yaml", &text);
    assert_eq!(
        (served(&node.read()), node.read().errors),
        (served(&whole), vec![])
    );
}

#[test]
fn a_list_without_an_element_is_not_an_empty_configuration() {
    for text in [
        "services:\n",
        "# gen 3\nservices:\n",
        "services: null\n",
        "# nothing\n",
        "{}\n",
        "kind: List\napiVersion: v1\nitems:\n",
    ] {
        for moved in [false, true] {
            let (mut node, whole) = node();
            if moved {
                node.replace("x.yaml", text);
            } else {
                node.write("x.yaml", text);
            }
            let update = node.read();
            assert_eq!(served(&update), served(&whole), "{text}, moved: {moved}");
            assert_eq!((update.errors.len(), update.wrong.len()), (1, 1), "{text}");
        }
    }
    for text in [
        "services: []\n",
        "# gen 3\nservices: [ ]\n",
        "{\"services\": []}\n",
    ] {
        let (mut node, _) = node();
        node.write("x.yaml", text);
        let update = node.read();
        assert_eq!((names(&update), update.errors), (vec![], vec![]), "{text}");
    }
}

#[test]
fn a_removal_in_place_with_an_intact_end_is_in_force_at_once() {
    let end = |text: String, end: &str| text + end;
    let whole = [
        generated(2, &["b", "c"]),
        generated(2, &["a", "c"]),
        end(generated(2, &["a"]), "# that is all\n"),
        end(generated(2, &["a"]), "...\n"),
    ];
    for text in whole {
        let (mut node, _) = node();
        node.write("x.yaml", &text);
        let update = node.read();
        assert_eq!(
            (update.services.len(), update.errors),
            (text.matches("- name").count(), vec![]),
            "{text}"
        );
    }
    let (mut node, _) = node();
    node.replace("x.yaml", &generated(2, &["a"]));
    let update = node.read();
    assert_eq!(
        (names(&update), update.errors),
        (vec!["a".to_owned()], vec![]),
        "moved into place"
    );
}

#[test]
fn a_shorter_file_counts_once_it_has_not_changed_for_a_while() {
    let (mut node, _) = node();
    let start = Instant::now();
    let names_at = |node: &mut Node, seconds: u64| {
        let now = start + Duration::from_secs(seconds);
        let is_due = node.reader.is_due(now);
        (names(&node.read_at(now)).len(), is_due)
    };
    node.write("x.yaml", &generated(2, &["a", "b"]));
    assert_eq!(names_at(&mut node, 0), (3, false));
    assert_eq!(names_at(&mut node, 9), (3, false));
    node.write("x.yaml", &generated(3, &["a"]));
    assert_eq!(names_at(&mut node, 9), (3, false), "still being written");
    assert_eq!(names_at(&mut node, 18), (3, false));
    assert_eq!(names_at(&mut node, 19), (1, true));
    assert_eq!(names_at(&mut node, 20), (1, false));
}

#[test]
fn a_shorter_file_that_ends_in_the_middle_of_a_line_never_counts() {
    let (mut node, whole) = node();
    let start = Instant::now();
    node.write("x.yaml", generated(2, &["a", "b"]).trim_ascii_end());
    for seconds in [0, 10, 86_400] {
        let update = node.read_at(start + Duration::from_secs(seconds));
        assert_eq!(served(&update), served(&whole));
        let expected = "x.yaml:14: may be half-written: it was changed in place and no longer has service default/c, \
                        which was its last object, so the services stay as they were; if this is meant, move a new file \
                        into its place, or add a comment line at its end";
        assert_eq!(errors(&update, &node), [expected]);
    }
    node.write("x.yaml", &(generated(2, &["a", "b"]) + "# that is all"));
    assert_eq!(names(&node.read()), ["a", "b"]);
}

#[test]
fn a_file_that_grows_from_half_an_object_to_a_whole_one_is_still_half_written() {
    let (mut node, whole) = node();
    let text = generated(2, &["a", "b", "c"]);
    let starts = |of: &str| text.find(of).unwrap();
    for end in [
        starts("- name: b") + "- name: b\n  address: 10.".len(),
        starts("- name: c"),
    ] {
        node.write("x.yaml", &text[..end]);
        let update = node.read();
        assert_eq!(
            (served(&update), update.errors.is_empty()),
            (served(&whole), false),
            "{}",
            &text[..end]
        );
    }
    node.write("x.yaml", &text);
    assert_eq!(node.read(), whole);
}

/// Cut, the new text is still as long as the last whole one.
#[test]
fn a_longer_file_that_is_cut_where_it_cannot_be_parsed_removes_nothing() {
    let before = generated(1, &["a", "b"]);
    let text = generated(2, &["a", "b", "c", "d", "e"]);
    let mut unparsed = 0;
    for length in before.len()..text.len() {
        let mut node = Node::new();
        node.write("x.yaml", &before);
        let good = node.read();
        node.write("x.yaml", &text[..length]);
        let update = node.read();
        let expected = names(&good)
            .into_iter()
            .all(|name| names(&update).contains(&name));
        assert!(
            expected && served(&update).starts_with(&served(&good)),
            "{}",
            &text[..length]
        );
        unparsed += usize::from(!update.errors.is_empty());
    }
    assert!(unparsed > 0);
}

/// What is left of the new text can be read, and its last object is not whole.
#[test]
fn a_longer_file_that_ends_in_the_middle_of_a_line_is_waited_for() {
    let before = generated(1, &["a", "b"]);
    let many: String = (2..9)
        .map(|it| format!("  - address: 10.0.0.{it}\n"))
        .collect();
    let text = generated(2, &["a"])
        + &many
        + generated(2, &["b"]).split_once("services:\n").unwrap().1
        + &many;
    let start = Instant::now();
    for length in before.len()..text.len() {
        let mut node = Node::new();
        node.write("x.yaml", &before);
        let good = served(&node.read());
        node.write("x.yaml", &text[..length]);
        let update = node.read_at(start);
        let last = served(&update).pop();
        assert!(
            last.is_some_and(|last| last.starts_with(&good[1])),
            "{}",
            &text[..length]
        );
        assert!(
            !update.errors.is_empty() || text[..length].ends_with('\n'),
            "{}",
            &text[..length]
        );
    }
    let mut node = Node::new();
    node.write("x.yaml", &before);
    node.read();
    node.write("x.yaml", text.trim_ascii_end());
    let seconds = |seconds| start + Duration::from_secs(seconds);
    let update = node.read_at(start);
    let expected = "x.yaml:28: may be half-written: it was changed in place and ends in the middle of a line, so the services \
                    stay as they were until the file has not changed for 10 seconds; to have it at once, move a new file into \
                    its place, or add a comment line at its end";
    assert_eq!(errors(&update, &node), [expected]);
    let endpoints = |update: &Update| served(update)[1].matches("ready").count();
    assert_eq!(
        [9, 10].map(|at| endpoints(&node.read_at(seconds(at)))),
        [1, 8]
    );
}
