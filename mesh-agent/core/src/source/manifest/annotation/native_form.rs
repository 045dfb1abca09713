//! Assembles annotations to a service in the native form. Each value has the line and the path of
//! its annotation, for messages.

use super::value::Tree;
use crate::source::{
    document::{Document, Node, Step, Value},
    field::Field,
    schema::{Annotation, annotations},
};

/// Returns the native form of all known annotations; nothing if there is none.
pub fn of(annotations: Field<'_>) -> Option<Document<'_>> {
    let mut native = Native(Document::default());
    let service = native.open(Step::Root, 0, annotations.line());
    for field in self::annotations().chunk_by(|a, b| a.field() == b.field()) {
        let given = field
            .iter()
            .filter_map(|known| Some((known, annotations.get(&known.name)?)));
        let trees: Vec<_> = given
            .map(|(known, field)| (known, Tree::parse(field)))
            .collect();
        native.field(service, trees);
    }
    native.close(service);
    (native.0.nodes.len() > 1).then_some(native.0)
}

/// The native form so far.
struct Native<'a>(Document<'a>);

impl<'a> Native<'a> {
    /// Adds a field of the service, from the annotations for it and for its members.
    fn field(&mut self, service: u32, mut trees: Vec<(&'static Annotation, Tree<'a>)>) {
        let Some((known, first)) = trees.first() else {
            return;
        };
        let (step, line) = (Step::Name(known.field().into()), first.line);
        let is_whole = |known: &Annotation, tree: &Tree<'_>| {
            known.member().is_none() || known.is_short && tree.nodes[0].value == Value::Map
        };
        let whole = trees
            .iter()
            .position(|(known, tree)| is_whole(known, tree))
            .map(|at| trees.remove(at).1);
        match whole {
            Some(whole) if trees.is_empty() => self.add(whole, service, &step),
            whole => {
                let mapping = self.open(step, service, line);
                if let Some(whole) = whole {
                    self.add_members(whole, mapping, &trees);
                }
                for (known, mut tree) in trees {
                    if known.is_list {
                        tree.split();
                    }
                    let member = known.member().expect("the only field as a whole is taken");
                    self.add(tree, mapping, &Step::Name(member.into()));
                }
                self.close(mapping);
            }
        }
    }

    /// Adds the members of a mapping, except for those that have their own annotation.
    fn add_members(
        &mut self,
        whole: Tree<'a>,
        mapping: u32,
        others: &[(&'static Annotation, Tree<'a>)],
    ) {
        let is_other = |step: &Step<'_>| match step {
            Step::Name(name) => others.iter().any(|(known, _)| known.member() == Some(name)),
            Step::Root | Step::Index(_) => false,
        };
        self.0.grafts.insert(mapping, whole.graft);
        let mut rest = whole.nodes.into_iter().skip(1).peekable();
        let mut taken = 1;
        while let Some(member) = rest.peek() {
            let size = member.end - taken;
            taken = member.end;
            let is_other = is_other(&member.step);
            let nodes: Vec<Node<'a>> = rest.by_ref().take(size as usize).collect();
            if !is_other {
                let step = nodes[0].step.clone();
                self.append(nodes, mapping, &step, whole.line);
            }
        }
    }

    /// Adds a value.
    fn add(&mut self, tree: Tree<'a>, parent: u32, step: &Step<'a>) {
        self.0.grafts.insert(self.next(), tree.graft);
        self.append(tree.nodes, parent, step, tree.line);
    }

    /// Appends nodes of another document, the first of which has this parent.
    fn append(&mut self, nodes: Vec<Node<'a>>, parent: u32, step: &Step<'a>, line: u32) {
        let (to, from) = (self.next(), nodes[0].end - len(&nodes));
        for (at, node) in nodes.into_iter().enumerate() {
            let is_first = at == 0;
            self.0.nodes.push(Node {
                line,
                parent: if is_first {
                    parent
                } else {
                    node.parent - from + to
                },
                step: if is_first { step.clone() } else { node.step },
                end: node.end - from + to,
                value: node.value,
            });
        }
    }

    /// Starts a mapping.
    fn open(&mut self, step: Step<'a>, parent: u32, line: u32) -> u32 {
        let id = self.next();
        self.0.nodes.push(Node {
            line,
            parent,
            step,
            end: id + 1,
            value: Value::Map,
        });
        id
    }

    /// Ends a mapping.
    fn close(&mut self, mapping: u32) {
        self.0.nodes[mapping as usize].end = self.next();
    }

    /// Returns the index of the next node.
    fn next(&self) -> u32 {
        len(&self.0.nodes)
    }
}

fn len(nodes: &[Node<'_>]) -> u32 {
    u32::try_from(nodes.len()).expect("the text of annotations is shorter than 4 GiB")
}
