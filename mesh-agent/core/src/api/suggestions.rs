//! Suggests services when the requested one does not exist.

pub use crate::similar_names::told;
use crate::{model::ServiceName, similar_names::is_similar};

/// Returns `no service default/cart; there is shop/cart`: services of that name in other
/// namespaces, else services with a similar name, else the first of all.
pub fn no_service(asked: &ServiceName, all: &[ServiceName]) -> String {
    let same: Vec<&ServiceName> = all.iter().filter(|it| it.name == asked.name).collect();
    let alike = all
        .iter()
        .filter(|it| it.namespace == asked.namespace && is_similar(&it.name, &asked.name));
    let similar = if same.is_empty() {
        alike.collect()
    } else {
        same
    };
    let there = match similar.as_slice() {
        [] if all.is_empty() => "there are no services".to_owned(),
        [] => format!("there are: {}", told(all.iter().map(ToString::to_string))),
        [one] => format!("there is {one}"),
        several => format!(
            "there are {}",
            told(several.iter().map(ToString::to_string))
        ),
    };
    format!("no service {asked}; {there}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        let (namespace, name) = text.split_once('/').unwrap();
        ServiceName {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn unknown_service_is_answered_with_similar_names() {
        let all = ["kube-system/dns", "shop/cart", "shop/checkout", "test/cart"].map(name);
        let answer = |asked: &str| no_service(&name(asked), &all);
        assert_eq!(
            answer("default/cart"),
            "no service default/cart; there are shop/cart, test/cart"
        );
        assert_eq!(
            answer("default/dns"),
            "no service default/dns; there is kube-system/dns"
        );
        assert_eq!(
            answer("shop/crat"),
            "no service shop/crat; there is shop/cart"
        );
        let listed =
            "no service shop/web; there are: kube-system/dns, shop/cart, shop/checkout, test/cart";
        assert_eq!(answer("shop/web"), listed);
        assert_eq!(
            no_service(&name("shop/web"), &[]),
            "no service shop/web; there are no services"
        );
        let many: Vec<ServiceName> = (0..12)
            .map(|number| name(&format!("x/service-{number:02}")))
            .collect();
        assert!(no_service(&name("y/z"), &many).ends_with("x/service-09 and 2 more"));
    }
}
