//! Parses service names: `cart`, or `shop/cart`.

use std::str::FromStr;

use crate::model::ServiceName;

/// A service name from the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NameArg {
    namespace: Option<String>,
    name: String,
}

/// A malformed or contradictory name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("expected NAME or NAMESPACE/NAME, found `{0}`")]
    Malformed(String),
    #[error("service {asked} is not in namespace {given}; leave out -n {given}")]
    TwoNamespaces { asked: ServiceName, given: String },
}

impl FromStr for NameArg {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('/') || namespace.is_some_and(str::is_empty) {
            return Err(Error::Malformed(text.to_owned()));
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

impl NameArg {
    /// Returns the full name; `given` is the namespace of `-n`.
    pub(super) fn within(&self, given: Option<&str>) -> Result<ServiceName, Error> {
        let namespace = self.namespace.as_deref().or(given).unwrap_or("default");
        let asked = ServiceName {
            namespace: namespace.to_owned(),
            name: self.name.clone(),
        };
        match given {
            Some(given) if given != namespace => Err(Error::TwoNamespaces {
                asked,
                given: given.to_owned(),
            }),
            _ => Ok(asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str, given: Option<&str>) -> Result<String, String> {
        let name = NameArg::from_str(text).and_then(|name| name.within(given));
        name.map(|name| name.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn namespace_comes_from_the_name_the_option_or_the_default() {
        assert_eq!(full("cart", None), Ok("default/cart".into()));
        assert_eq!(full("cart", Some("shop")), Ok("shop/cart".into()));
        assert_eq!(full("shop/cart", None), Ok("shop/cart".into()));
        assert_eq!(full("shop/cart", Some("shop")), Ok("shop/cart".into()));
    }

    #[test]
    fn malformed_names_are_refused() {
        for text in ["", "/", "shop/", "/cart", "a/b/c"] {
            let expected = format!("expected NAME or NAMESPACE/NAME, found `{text}`");
            assert_eq!(full(text, None), Err(expected));
        }
        let expected = "service shop/cart is not in namespace web; leave out -n web";
        assert_eq!(full("shop/cart", Some("web")), Err(expected.into()));
    }
}
