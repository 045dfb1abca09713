//! Collects the objects of a file while it is read.

mod extract;
mod repeated;

use std::{mem, sync::Arc};

pub use self::extract::Extracts;
use self::repeated::Repeated;
use crate::{
    model::Origin,
    source::{
        Serve,
        contents::Contents,
        document::{Problem, Problems},
        field::Field,
        object::WrongObject,
    },
};

/// A file with more wrong objects is rejected as a whole. No node serves as many objects.
const MOST_WRONG: usize = 1 << 16;

/// A file with more unreadable documents is rejected as a whole.
const MOST_BROKEN: usize = 1 << 10;

/// A file with more documents is rejected as a whole.
const MOST_DOCUMENTS: usize = 1 << 18;

/// A file that defines more services again is rejected as a whole.
const MOST_REPEATED: usize = 1 << 10;

/// The parts of the file that are read so far.
pub struct Draft<'p> {
    /// The file or object.
    origin: &'p Origin,
    serve: Serve,
    /// The objects that are right.
    pub contents: Contents,
    /// Services that are defined more than once.
    repeated: Repeated,
    /// The objects that are wrong.
    pub wrong: Vec<WrongObject>,
    /// Lines of unreadable documents.
    pub broken: Vec<u32>,
    /// Whether the last object is wrong.
    pub ends_wrong: bool,
    /// Problems so far.
    pub problems: Problems,
    /// Objects that are wanted as separate texts.
    pub picks: Extracts,
    /// Objects of the present document. They count when its end is reached.
    pub open: Option<Box<Self>>,
    /// Elements of the present document that are read at its end.
    pub postponed: Vec<u32>,
    /// Number of documents that were read.
    pub documents: usize,
    /// Whether nothing more of the file is read.
    pub full: bool,
}

impl<'p> Draft<'p> {
    /// Creates an empty draft.
    pub fn new(origin: &'p Origin, serve: Serve) -> Self {
        Self {
            origin,
            serve,
            contents: Contents::default(),
            repeated: Repeated::default(),
            wrong: Vec::new(),
            broken: Vec::new(),
            ends_wrong: false,
            problems: Problems::default(),
            picks: Extracts::default(),
            open: None,
            postponed: Vec::new(),
            documents: 0,
            full: false,
        }
    }

    /// Returns the origin of a field.
    pub fn origin(&self, field: Field<'_>) -> Origin {
        self.origin.at(field.line())
    }

    /// Returns which services are served.
    pub fn serve(&self) -> Serve {
        self.serve
    }

    /// Takes the elements that could not be read before the kind of their list was known.
    pub fn postponed(&mut self) -> Vec<u32> {
        mem::take(&mut self.postponed)
    }

    /// Drops the elements of a list that is no list of objects.
    pub fn forget_elements(&mut self) {
        (self.contents, self.wrong, self.problems) = Default::default();
        self.repeated = Repeated::default();
    }

    /// Returns the file or object, and which services are served.
    pub fn settings(&self) -> (&'p Origin, Serve) {
        (self.origin, self.serve)
    }

    /// Reads one object. If anything in it is wrong, the whole object is dropped.
    pub fn object(
        &mut self,
        field: Field<'_>,
        known: usize,
        wrong: impl FnOnce() -> WrongObject,
        read: impl FnOnce(&mut Contents),
    ) {
        let Contents {
            services,
            left_out,
            manifests,
        } = &self.contents;
        let native = (services.len(), left_out.len());
        let objects = (
            manifests.services.len(),
            manifests.left_out.len(),
            manifests.slices.len(),
        );
        read(&mut self.contents);
        self.ends_wrong = field.problems() > known;
        if self.ends_wrong {
            self.contents.services.truncate(native.0);
            self.contents.left_out.truncate(native.1);
            self.contents.manifests.services.truncate(objects.0);
            self.contents.manifests.left_out.truncate(objects.1);
            self.contents.manifests.slices.truncate(objects.2);
            self.wrong.push(wrong());
        } else if !self.picks.wanted.is_empty() {
            self.picks.note(wrong().key, field);
        }
        self.repeated.note(&self.contents, native.0, objects.0);
    }

    /// Stops reading: wrong parts cannot be told from right ones.
    pub fn give_up(&mut self, problem: Problem) {
        (self.contents, self.wrong, self.open) = (Contents::default(), Vec::new(), None);
        self.broken = vec![problem.line];
        self.problems.push_first(problem);
        self.full = true;
    }

    /// Returns the draft of the present document.
    pub fn open(&mut self) -> &mut Self {
        self.open.get_or_insert_with(|| {
            let mut open = Self::new(self.origin, self.serve);
            open.picks.wanted = Arc::clone(&self.picks.wanted);
            Box::new(open)
        })
    }

    /// Adds the objects of the document that ends.
    pub fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Self {
            contents,
            wrong,
            problems,
            ends_wrong,
            mut picks,
            ..
        } = *open;
        self.repeated.note(&contents, 0, 0);
        self.contents.append(contents);
        self.wrong.extend(wrong);
        self.problems.append(problems);
        self.ends_wrong = ends_wrong;
        self.picks.texts.append(&mut picks.texts);
    }

    /// Rejects the file if it exceeds a limit.
    pub fn check_room(&mut self, line: u32) {
        let open = self.open.as_ref();
        let wrong = self.wrong.len() + open.map_or(0, |open| open.wrong.len());
        let repeated = self.repeated.count + open.map_or(0, |open| open.repeated.count);
        let much = [
            (wrong, MOST_WRONG, "objects are wrong"),
            (repeated, MOST_REPEATED, "services are defined again"),
            (self.broken.len(), MOST_BROKEN, "documents cannot be parsed"),
            (self.documents, MOST_DOCUMENTS, "documents are in it"),
        ];
        if let Some((_, most, what)) = much.into_iter().find(|(count, most, _)| count > most) {
            self.close();
            let reason = format!("more than {most} {what}, so nothing of the file is used");
            self.give_up(Problem {
                line,
                field: String::new(),
                reason,
            });
        }
    }
}
