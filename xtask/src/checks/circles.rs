//! No modules import each other in a circle.
//!
//! Compared are the modules that lie beside each other in one folder. What is in the folder of a
//! module belongs to it: `a/deep.rs` importing `b.rs` is an import from `a` to `b`. A module and
//! its own folder are one room: the parent may call its child modules, and they may use the
//! types that it declares. An item that the parent only re-exports counts where it is declared.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Sources, exceptions, files, from_the_top,
    imports::{self, Import},
    modules, packages, report,
};

/// The modules of one folder: for each, those that it imports and with which lines.
type Folder<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a Import>>>;

/// Sorts imports by the folder that both ends are in, itself or further below.
fn folders(imports: &[Import]) -> BTreeMap<&[String], Folder<'_>> {
    let mut folders = BTreeMap::<&[String], Folder<'_>>::new();
    for import in imports {
        let both = import.from.iter().zip(&import.to);
        let common = both.take_while(|(from, to)| from == to).count();
        let (folder, from) = import.from.split_at(common);
        // One is the other's parent.
        let (Some(from), Some(to)) = (from.first(), import.to.get(common)) else {
            continue;
        };
        let imported = folders.entry(folder).or_default().entry(from).or_default();
        imported.entry(to).or_default().push(import);
    }
    folders
}

/// Returns the modules that a module imports, directly or through others.
fn reachable<'a>(folder: &Folder<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for to in folder.get(module).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(*to) {
                next.push(to);
            }
        }
    }
    found
}

/// Returns the largest sets of modules of which each imports each.
fn sets<'a>(folder: &Folder<'a>) -> BTreeSet<Vec<&'a str>> {
    let reach: BTreeMap<_, _> = folder
        .keys()
        .map(|module| (*module, reachable(folder, module)))
        .collect();
    let is_back = |from: &str, to: &str| reach.get(to).is_some_and(|reach| reach.contains(from));
    reach
        .iter()
        .map(|(from, reach)| {
            reach
                .iter()
                .copied()
                .filter(|to| is_back(from, to))
                .collect()
        })
        .filter(|set: &Vec<_>| !set.is_empty())
        .collect()
}

/// Returns the circles of a crate: folder with modules, and the same with the lines that import.
fn circles(sources: &Sources, root: &Path) -> BTreeMap<String, String> {
    let krate = modules::read(sources, root);
    let imports = imports::of(&krate);
    let mut found = BTreeMap::new();
    for (path, folder) in folders(&imports) {
        let directory = path
            .iter()
            .fold(krate.directory.clone(), |it, name| it.join(name));
        for set in sets(&folder) {
            let name = format!("{}: {}", directory.display(), set.join(", "));
            let description = format!("{name}\n{}", lines(&folder, &set).join("\n"));
            found.insert(name, description);
        }
    }
    found
}

/// Returns the lines with which modules of a set import each other.
fn lines(folder: &Folder<'_>, set: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for (from, imported) in folder.iter().filter(|(from, _)| set.contains(from)) {
        for (to, imports) in imported.iter().filter(|(to, _)| set.contains(to)) {
            lines.push(format!("  {from} imports {to}"));
            lines.extend(imports.iter().map(|import| {
                let (file, line, path) = (import.file.display(), import.line, &import.path);
                format!("    {file}:{line}: {path}")
            }));
        }
    }
    lines
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let sources = files("rs");
    let mut found = BTreeMap::new();
    for package in packages() {
        for target in package["targets"].as_array().expect("it has targets") {
            let root = target["src_path"].as_str().expect("it has a root file");
            found.append(&mut circles(&sources, &from_the_top(Path::new(root))));
        }
    }
    let wrong = exceptions::compare(&found, exceptions::CIRCLES);
    let title = "modules that import each other: move what both need to a module below them";
    assert!(wrong.is_empty(), "{}", report(title, &wrong));
}

#[cfg(test)]
mod tests {
    use super::{super::made_up, *};

    fn names<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
        let found = circles(&made_up(files), Path::new("src/lib.rs"));
        found.into_keys().collect()
    }

    #[test]
    fn two_modules_that_import_each_other_are_shown_with_their_lines() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c;"),
            ("src/a.rs", "\nuse crate::b::f;\nuse crate::c;\n"),
            ("src/b.rs", "fn f() {\n    super::a::g();\n}\n"),
            ("src/c.rs", ""),
        ];
        let expected = "src: a, b\n  a imports b\n    src/a.rs:2: crate::b::f\n  b imports a\n    \
                        src/b.rs:2: super::a::g";
        let expected = BTreeMap::from([("src: a, b".to_owned(), expected.to_owned())]);
        assert_eq!(circles(&made_up(files), Path::new("src/lib.rs")), expected);
    }

    #[test]
    fn a_circle_through_others_is_one_set() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            ("src/a.rs", "use crate::b;"),
            ("src/b.rs", "use crate::c;"),
            ("src/c.rs", "use crate::a; use crate::d;"),
            ("src/d.rs", "use crate::e;"),
            ("src/e.rs", ""),
        ];
        assert_eq!(names(files), ["src: a, b, c"]);
    }

    #[test]
    fn what_is_in_a_folder_belongs_to_its_module() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "mod deep;"),
            ("src/a/deep.rs", "use crate::b;"),
            ("src/b.rs", "use crate::a;"),
        ];
        assert_eq!(names(files), ["src: a, b"]);
    }

    #[test]
    fn a_parent_and_its_children_are_no_circle_and_siblings_below_are() {
        let files = [
            ("src/lib.rs", "mod a; struct Root;"),
            (
                "src/a.rs",
                "mod x; mod y; pub use x::X; struct A; fn f() { x::f(); y::f(); }",
            ),
            ("src/a/x.rs", "use super::{A, y};"),
            ("src/a/y.rs", "use super::A; use crate::Root;"),
        ];
        assert_eq!(names(files), Vec::<String>::new());
        let mut files = files;
        files[3].1 = "use super::X;";
        assert_eq!(names(files), ["src/a: x, y"]);
    }

    #[test]
    fn test_modules_may_import_everything() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "use crate::b;"),
            ("src/b.rs", "#[cfg(test)] mod tests { use crate::a; }"),
        ];
        assert_eq!(names(files), Vec::<String>::new());
    }
}
