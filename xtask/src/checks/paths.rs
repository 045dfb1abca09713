//! Every path in the code of a module: those of `use`, of expressions and types, and those among the
//! arguments of macros and attributes.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    ImplItemFn, Item, ItemFn, ItemMod, ItemUse, MetaList, UseTree,
    visit::{self, Visit},
};

use super::modules::is_test;

/// Paths and imported names of a module.
#[derive(Default)]
pub struct Paths {
    /// The paths with their lines.
    pub all: Vec<(Vec<String>, usize)>,
    /// What names that `use` brings into the module stand for.
    pub names: BTreeMap<String, Vec<String>>,
}

impl Paths {
    /// Collects the paths of a module, except for those of tests.
    pub fn of(items: &[Item]) -> Self {
        let mut paths = Self::default();
        items.iter().for_each(|item| paths.visit_item(item));
        paths
    }

    fn add_use(&mut self, tree: &UseTree, mut prefix: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(&path.tree, prefix);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, prefix.clone());
                }
            }
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                self.all.push((prefix, line));
            }
            UseTree::Name(name) => self.add_name(prefix, &name.ident, None),
            UseTree::Rename(renamed) => {
                self.add_name(prefix, &renamed.ident, Some(&renamed.rename));
            }
        }
    }

    fn add_name(&mut self, mut path: Vec<String>, name: &syn::Ident, rename: Option<&syn::Ident>) {
        if name != "self" {
            path.push(name.to_string());
        }
        let known_as = rename
            .map(ToString::to_string)
            .or_else(|| path.last().cloned());
        self.all.push((path.clone(), name.span().start().line));
        self.names.extend(known_as.map(|name| (name, path)));
    }

    /// Adds the paths in the arguments of macros, which are not parsed: names between `::`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.add_path(&mut path, line);
                        line = name.span().start().line;
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                other => {
                    self.add_path(&mut path, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add_path(&mut path, line);
    }

    /// Adds a path if it has several names: a single one is of the module, or `use` is counted.
    fn add_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.all.push((path, line));
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    /// Modules within the file have their own names.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.add_use(&item.tree, Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        let first = path.segments.first();
        let line = first.map_or(0, |segment| segment.ident.span().start().line);
        self.add_path(&mut names.collect(), line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast MetaList) {
        self.add_tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }
}
