//! Which modules a module imports: where the paths in its code lead.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    modules::{Crate, ModulePath},
    paths::Paths,
};

/// A path in the code of one module that leads to another.
#[derive(Debug, PartialEq)]
pub struct Import {
    pub from: ModulePath,
    pub to: ModulePath,
    pub file: PathBuf,
    pub line: usize,
    /// The path as it is written.
    pub path: String,
}

/// Returns the imports of a crate, from each module in the order of its lines.
pub fn of(krate: &Crate) -> Vec<Import> {
    let modules = krate.modules.iter();
    let names = Names(
        modules
            .map(|(path, module)| (path.clone(), Paths::of(&module.items)))
            .collect(),
    );
    let mut imports = Vec::new();
    for (from, module) in &krate.modules {
        for (path, line) in &names.0[from].all {
            imports.extend(names.imported(from, path).map(|to| Import {
                from: from.clone(),
                to,
                file: module.file.clone(),
                line: *line,
                path: path.join("::"),
            }));
        }
    }
    imports.sort_by(|a, b| (&a.from, a.line).cmp(&(&b.from, b.line)));
    imports
}

/// The modules of a crate with the names in each.
struct Names(BTreeMap<ModulePath, Paths>);

/// Names that stand for each other at most; more are a name that stands for itself.
const MOST_RENAMES: usize = 16;

impl Names {
    /// Returns the other module that a path imports. A path that only follows a name from `use`
    /// imports nothing more than that line.
    fn imported(&self, from: &[String], path: &[String]) -> Option<ModulePath> {
        let to = self.resolve(from, path, 0)?;
        let is_from_use = self.0.get(from)?.names.contains_key(&path[0]);
        let is_counted = is_from_use && self.step(from, &path[0], 0).as_ref() == Some(&to);
        (to != from && !is_counted).then_some(to)
    }

    /// Returns the module that declares what a path names, through re-exports; nothing for other
    /// crates and for names of the module itself.
    fn resolve(&self, from: &[String], path: &[String], renames: usize) -> Option<ModulePath> {
        let mut at = from.to_vec();
        let mut path = path.iter().map(String::as_str).peekable();
        match path.next()? {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop()?;
                while path.next_if_eq(&"super").is_some() {
                    at.pop()?;
                }
            }
            name => at = self.step(&at, name, renames)?,
        }
        for name in path {
            let Some(next) = self.step(&at, name, renames) else {
                break;
            };
            at = next;
        }
        Some(at)
    }

    /// Returns the module that a name in a module leads to: a child, or what `use` says. Names that
    /// come with `use path::*` are not known: that line itself counts as the import.
    fn step(&self, at: &[String], name: &str, renames: usize) -> Option<ModulePath> {
        let mut child = at.to_vec();
        child.push(name.to_owned());
        if self.0.contains_key(&child) {
            return Some(child);
        }
        let path = self.0.get(at)?.names.get(name)?;
        if renames == MOST_RENAMES {
            return None;
        }
        self.resolve(at, path, renames + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{made_up, modules},
        *,
    };

    /// Returns the imports of a crate, as `line: path: from -> to`.
    fn imports<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
        let read = modules::read(&made_up(files), Path::new("lib.rs"));
        let line = |import: &Import| {
            let (from, to) = (import.from.join("::"), import.to.join("::"));
            format!("{}: {}: {from} -> {to}", import.line, import.path)
        };
        of(&read).iter().map(line).collect()
    }

    #[test]
    fn use_expressions_types_macros_and_attributes_import() {
        let code = r##"use crate::b::{self, B};
use super::b as c;
use std::fmt;
use crate::b::*;
fn f(b: crate::b::B) -> B {
    crate::b::f::<u8>();
    say!("{}", [super::b::f()]);
    use crate::b::g;
    c::h()
}
#[arg(value = crate::b::f)]
struct A;
"##;
        let expected = [
            "1: crate::b: a -> b",
            "1: crate::b::B: a -> b",
            "2: super::b: a -> b",
            "4: crate::b: a -> b",
            "5: crate::b::B: a -> b",
            "6: crate::b::f: a -> b",
            "7: super::b::f: a -> b",
            "8: crate::b::g: a -> b",
            "11: crate::b::f: a -> b",
        ];
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", code), ("b.rs", "")];
        assert_eq!(imports(files), expected);
    }

    #[test]
    fn a_path_leads_to_the_module_that_declares_the_item() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "use super::b::{Item, f};\nuse crate::b as low;\nuse low::deep::X;\nfn g() { low::deep::h(); low::h(); }\n",
            ),
            (
                "b.rs",
                "mod deep;\npub use deep::Item;\nuse std::mem as f;\n",
            ),
            ("b/deep.rs", "use super::super::a;\n"),
        ];
        let expected = [
            "1: super::b::Item: a -> b::deep",
            "1: super::b::f: a -> b",
            "2: crate::b: a -> b",
            "3: low::deep::X: a -> b::deep",
            "4: low::deep::h: a -> b::deep",
            "2: deep::Item: b -> b::deep",
            "1: super::super::a: b::deep -> a",
        ];
        assert_eq!(imports(files), expected);
    }

    #[test]
    fn the_module_itself_tests_and_other_crates_do_not_count() {
        let code = r##"use crate::a::own;
use b::c;
use std::b;
#[cfg(test)]
use crate::b::f;
#[cfg(test)]
mod tests {
    use crate::b;
}
#[cfg(test)]
fn g() {
    crate::b::f();
}
impl A {
    #[cfg(test)]
    fn h() {
        crate::b::f();
    }
}
"##;
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", code), ("b.rs", "")];
        assert_eq!(imports(files), Vec::<String>::new());
    }
}
