//! `meshctl config validate` and `meshctl config schema`.

use super::*;

#[tokio::test]
async fn single_files_and_standard_input_are_validated() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let service = |name: &str, port: &str| {
        format!(
            "services:\n- {{name: {name}, address: 10.96.0.1, ports: [{{port: {port}}}], endpoints: []}}\n"
        )
    };
    let (good, bad) = (
        write("good.yaml", &service("cart", "80")),
        write("bad.tmpl", &service("web", "0")),
    );
    let answer = capture(&["meshctl", "config", "validate", &good]).await;
    let summary = "1 service, 1 port, 0 endpoints; 0 errors, 0 notes\n";
    assert_eq!(answer, (Exit::Ok, summary.to_owned(), String::new()));
    let (exit, out, _) = capture(&["meshctl", "config", "validate", &bad]).await;
    let error =
        format!("{bad}:2: services[0].ports[0].port: expected a port from 1 to 65535, found `0`\n");
    assert_eq!((exit, out.starts_with(&error)), (Exit::No, true), "{out}");
    let missing = directory.path().join("none.yaml").display().to_string();
    let (exit, out, _) = capture(&["meshctl", "config", "validate", &good, &missing]).await;
    assert_eq!(exit, Exit::No);
    assert!(
        out.starts_with(&format!(
            "{missing}:1: cannot be read: No such file or directory"
        )),
        "{out}"
    );
    let both = directory.path().display().to_string();
    let (exit, _, _) = capture(&["meshctl", "config", "validate", &both, &bad]).await;
    assert_eq!(exit, Exit::No);
}

#[tokio::test]
async fn validate_reports_the_service_that_claims_a_served_address() {
    let directory = tempfile::tempdir().unwrap();
    let service = |name: &str| {
        format!(
            "services: [{{name: {name}, namespace: shop, address: 10.96.0.10, ports: [{{port: 80}}], endpoints: []}}]\n"
        )
    };
    for (file, name) in [("a.yaml", "thief"), ("z.yaml", "cart")] {
        std::fs::write(directory.path().join(file), service(name)).unwrap();
    }
    let line = format!("config validate {}", directory.path().display());
    let (exit, out, _) = run_in_process(&served(healthy()), &line).await;
    let blamed = |file: &str| format!("{}/{file}:1: service shop/", directory.path().display());
    assert!(out.starts_with(&blamed("a.yaml")), "{out}");
    assert_eq!(exit, Exit::No);
    let (_, out, _) = run_in_process(&served(ailing()), &line).await;
    assert!(
        out.starts_with(&blamed("z.yaml")),
        "by file name where the agent does not say: {out}"
    );
}

#[tokio::test]
async fn schema_is_printed_without_an_agent() {
    let schema = source::schema::text();
    for format in ["table", "yaml"] {
        let answer = capture(&["meshctl", "config", "schema", "-o", format]).await;
        assert_eq!(answer, (Exit::Ok, schema.clone(), String::new()));
    }
}
