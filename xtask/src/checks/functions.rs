//! Functions are short: nine of ten have at most 20 lines between their braces. Tests are not counted.

use syn::{
    Block, ImplItemFn, ItemFn, ItemMod, TraitItemFn,
    visit::{self, Visit},
};

use super::{Sources, files, modules::is_test};

const MOST_LINES: usize = 20;

/// Numbers of lines between the braces of functions.
#[derive(Default)]
struct Lengths(Vec<usize>);

impl Lengths {
    fn add(&mut self, body: &Block) {
        let braces = body.brace_token.span;
        let (first, last) = (braces.open().start().line, braces.close().start().line);
        self.0.push((last - first).saturating_sub(1));
    }
}

impl<'a> Visit<'a> for Lengths {
    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a ItemFn) {
        let is_test_function = item.attrs.iter().any(|it| it.path().is_ident("test"));
        if !is_test_function && !is_test(&item.attrs) {
            self.add(&item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        self.add(&item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Returns the lengths of all functions, sorted. Files of tests are left out.
fn lengths(sources: &Sources) -> Vec<usize> {
    let mut lengths = Lengths::default();
    for (path, text) in sources {
        let is_of_tests = path.components().any(|it| it.as_os_str() == "tests");
        if is_of_tests || path.ends_with("tests.rs") {
            continue;
        }
        let name = path.display();
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        lengths.visit_file(&file);
    }
    lengths.0.sort_unstable();
    lengths.0
}

#[test]
fn nine_of_ten_functions_are_short() {
    let lengths = lengths(&files("rs"));
    let percentile = |percent: usize| lengths[(lengths.len() - 1) * percent / 100];
    let (median, p90, longest) = (percentile(50), percentile(90), percentile(100));
    println!(
        "{} functions: median {median} lines, p90 {p90}, longest {longest}",
        lengths.len()
    );
    assert!(p90 <= MOST_LINES, "p90 is {p90} lines");
}

#[cfg(test)]
mod tests {
    use super::{super::made_up, *};

    #[test]
    fn lines_between_braces_are_counted_without_tests() {
        let code = "/// A.\nfn a(\n) {\n}\nimpl A {\n    /// B.\n    fn b() {\n        c();\n    }\n}\n\
                    trait C {\n    fn c();\n    fn d() {}\n}\n\
                    #[test]\nfn e() {}\n#[cfg(test)]\nmod f {\n    fn g() {}\n}\n";
        let found = lengths(&made_up([
            ("a/src/a.rs", code),
            ("a/src/tests.rs", "fn h() {}"),
            ("a/tests/b.rs", "fn i() {}"),
        ]));
        assert_eq!(found, [0, 0, 1]);
    }
}
