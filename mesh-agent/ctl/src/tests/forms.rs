//! JSON of different commands uses the same fields for the same values.

use serde_json::{Value, json};

use super::{ask, healthy, served};

async fn answer(line: &str) -> Value {
    serde_json::from_str(&ask(&served(healthy()), &format!("{line} -o json")).await).unwrap()
}

/// Returns some fields of an object; `null` for absent ones.
fn fields(of: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| of[*name].clone()).collect()
}

#[tokio::test]
async fn endpoints_and_weights_have_one_form_in_all_commands() {
    let names = ["endpoint", "weight", "effectiveWeight"];
    let expected = vec![json!("10.0.0.1:8080"), json!(1), json!(1)];
    let service = answer("service get shop/cart").await;
    let explained = answer("explain 10.96.0.10:80").await;
    let listed = answer("backend list shop/cart").await;
    for endpoint in [
        &service["ports"][0]["endpoints"][0],
        &listed[0],
        &explained["tiers"][0]["backends"][0],
    ] {
        assert_eq!(fields(endpoint, &names), expected);
    }
    assert_eq!(explained["outcomes"][0]["endpoint"], expected[0]);
}

#[tokio::test]
async fn ports_have_one_form_in_all_commands() {
    let names = ["port", "portName", "protocol", "name"];
    let http = vec![json!(80), json!("http"), json!("TCP"), Value::Null];
    let (service, stats) = (
        answer("service get shop/cart").await,
        answer("stats shop/cart").await,
    );
    let (listed, explained) = (
        answer("backend list shop/cart").await,
        answer("explain 10.96.0.10:80").await,
    );
    for port in [&service["ports"][0], &stats[0], &listed[0], &explained] {
        assert_eq!(fields(port, &names), http);
    }
    let unnamed = vec![json!(53), Value::Null, json!("UDP"), Value::Null];
    let (service, stats) = (
        answer("service get kube-system/dns").await,
        answer("stats kube-system/dns").await,
    );
    for port in [&service["ports"][0], &stats[0]] {
        assert_eq!(
            fields(port, &names),
            unnamed,
            "a port without a name has none"
        );
    }
}
