//! The modules of a crate, read from its files. Test modules are left out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, ItemMod, Meta};

use super::Sources;

/// Names of the modules that lead to a module from the root of its crate, itself included.
pub type ModulePath = Vec<String>;

/// A file, or a `mod name { … }` within one.
pub struct Module {
    pub file: PathBuf,
    pub items: Vec<Item>,
}

/// A library, program, test or build script.
pub struct Crate {
    /// Directory of its root file.
    pub directory: PathBuf,
    pub modules: BTreeMap<ModulePath, Module>,
}

/// Reads a crate, given its root file.
pub fn read(sources: &Sources, file: &Path) -> Crate {
    let directory = file.parent().expect("a file is in a directory").to_owned();
    let mut modules = BTreeMap::new();
    let root = parse(sources, file);
    add(sources, &mut modules, Vec::new(), &directory, root);
    Crate { directory, modules }
}

/// Adds a module and, from the directory that its child modules are in, those.
fn add(
    sources: &Sources,
    modules: &mut BTreeMap<ModulePath, Module>,
    path: ModulePath,
    directory: &Path,
    module: Module,
) {
    for item in &module.items {
        let Item::Mod(declared) = item else { continue };
        if is_test(&declared.attrs) {
            continue;
        }
        // A file of another crate is checked there.
        if declared.attrs.iter().any(|it| it.path().is_ident("path")) {
            continue;
        }
        let mut child_path = path.clone();
        child_path.push(declared.ident.to_string());
        let child_directory = directory.join(declared.ident.to_string());
        let child = child(sources, &module.file, &child_directory, declared);
        add(sources, modules, child_path, &child_directory, child);
    }
    modules.insert(path, module);
}

/// Reads a declared module: its own lines, `name.rs` or `name/mod.rs`.
fn child(sources: &Sources, parent: &Path, directory: &Path, declared: &ItemMod) -> Module {
    if let Some((_, items)) = &declared.content {
        let (file, items) = (parent.to_owned(), items.clone());
        return Module { file, items };
    }
    let (flat, nested) = (directory.with_extension("rs"), directory.join("mod.rs"));
    let is_flat = sources.contains_key(&flat);
    parse(sources, if is_flat { &flat } else { &nested })
}

fn parse(sources: &Sources, file: &Path) -> Module {
    let name = file.display();
    let text = sources
        .get(file)
        .unwrap_or_else(|| panic!("{name} is missing"));
    let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (file, items) = (file.to_owned(), parsed.items);
    Module { file, items }
}

/// Returns whether an item is for tests only.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return false;
        };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

#[cfg(test)]
mod tests {
    use super::{super::made_up, *};

    #[test]
    fn modules_are_files_folders_and_blocks() {
        let sources = made_up([
            (
                "c/src/lib.rs",
                "mod flat;\nmod folder;\n#[cfg(test)]\nmod tests;\n",
            ),
            (
                "c/src/flat.rs",
                "pub mod below;\nmod block {\n    mod deep;\n}\n",
            ),
            ("c/src/flat/below.rs", ""),
            ("c/src/flat/block/deep.rs", ""),
            ("c/src/folder/mod.rs", "mod child;\n"),
            ("c/src/folder/child.rs", ""),
        ]);
        let read = read(&sources, Path::new("c/src/lib.rs"));
        assert_eq!(read.directory, Path::new("c/src"));
        let modules = read.modules.iter();
        let found: Vec<_> = modules
            .map(|(path, module)| format!("{}: {}", path.join("::"), module.file.display()))
            .collect();
        let expected = [
            ": c/src/lib.rs",
            "flat: c/src/flat.rs",
            "flat::below: c/src/flat/below.rs",
            "flat::block: c/src/flat.rs",
            "flat::block::deep: c/src/flat/block/deep.rs",
            "folder: c/src/folder/mod.rs",
            "folder::child: c/src/folder/child.rs",
        ];
        assert_eq!(found, expected);
    }
}
