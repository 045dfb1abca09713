//! Which services are served.

/// Which services take part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Serve {
    /// All but those that say that they do not want to
    #[default]
    All,
    /// Those that say that they want to
    Annotated,
}

impl Serve {
    /// Why a service is left alone that says this of itself under that name.
    pub fn opted_out(self, enabled: Option<bool>, name: &str) -> Option<String> {
        match (self, enabled) {
            (_, Some(false)) => Some(format!("opted out ({name} is false)")),
            (Self::Annotated, None) => Some(format!(
                "not opted in ({name} is not set, and `serve` is `annotated`)"
            )),
            (Self::All | Self::Annotated, _) => None,
        }
    }
}
