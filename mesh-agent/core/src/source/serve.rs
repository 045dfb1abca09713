//! The setting `serve`: which services are served.

/// Which services are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Serve {
    /// All services, except those that opted out.
    #[default]
    All,
    /// Services that opted in.
    Annotated,
}

impl Serve {
    /// Returns why a service with this setting is left alone, if it is. `name` is the name of the
    /// setting.
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
