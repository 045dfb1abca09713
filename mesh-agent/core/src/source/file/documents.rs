//! Reads the documents of a file into a draft, each by its form.

use crate::source::{
    document::{Document, Problem, Sink, Step, Value},
    draft::Draft,
    field::Field,
    manifest, native,
    object::WrongObject,
};

impl<'a> Sink<'a> for Draft<'_> {
    fn element(&mut self, document: &Document<'a>, id: u32) -> bool {
        let field = Field::at(document, id);
        let list = &document.nodes[document.nodes[id as usize].parent as usize].step;
        let open = self.open();
        let taken = match list {
            Step::Name(name) if name == "services" => native::read_element(field, open),
            _ => manifest::read_element(field, open),
        };
        if taken {
            open.problems.append(document.problems.take());
        } else {
            open.postponed.push(id);
        }
        self.check_room(field.line());
        taken
    }

    fn document(&mut self, document: Document<'a>) {
        let root = Field::root(&document);
        let open = self.open();
        read_end(root, open);
        open.problems.append(document.problems.take());
        // Text after a list shows that the list is whole.
        let last = root.children().last().and_then(Field::name);
        open.ends_wrong &= !(has(root, "services") || has(root, "items"))
            || matches!(last, Some("services" | "items"));
        self.close();
        self.documents += 1;
        self.check_room(root.line());
    }

    fn broken(&mut self, problem: Problem) {
        self.open = None;
        self.broken.push(problem.line);
        self.problems.push(problem);
        self.ends_wrong = false;
        self.check_room(self.broken.last().copied().unwrap_or(1));
    }

    fn is_full(&self) -> bool {
        self.full
    }
}

/// Reads the rest of a document.
fn read_end(root: Field<'_>, draft: &mut Draft<'_>) {
    match root.value() {
        Value::Null => {}
        // `services: null` is a native document without services. The file is no service file
        // and may be secret, so its text is not quoted.
        Value::Text(_) | Value::Number(_) => {
            root.report("expected a mapping, found other text");
            draft.wrong.push(WrongObject::unknown(root.line()));
        }
        Value::Map if has(root, "services") => native::read(root, draft),
        _ => manifest::read(root, draft),
    }
}

fn has(root: Field<'_>, name: &str) -> bool {
    root.children().any(|child| child.name() == Some(name))
}
