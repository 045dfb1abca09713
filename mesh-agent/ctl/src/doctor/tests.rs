use super::*;
use crate::api::fixture;

fn ailing() -> Diagnosis {
    let mut diagnosis = fixture::diagnosis();
    diagnosis.findings.extend([
        Finding::warning(
            "map/SERVICES",
            "map SERVICES has 80 of 100 rows in use",
            "raise --max-services and restart the agent, or remove services",
        ),
        Finding::error(
            "selfProbe/connect4",
            "connect4 does not serve processes in cgroup /sys/fs/cgroup: 192.0.0.8:7 is not translated",
            "restart the agent",
        ),
    ]);
    diagnosis
}

#[test]
fn what_is_wrong_comes_first_with_its_remedy_and_fits_a_small_terminal() {
    let layout = Layout::Fit(80);
    let page = layout.folded(page(&ailing(), layout, false));
    insta::assert_snapshot!(page, @"
    ERROR selfProbe/connect4: connect4 does not serve processes in cgroup
        /sys/fs/cgroup: 192.0.0.8:7 is not translated
      Remedy: restart the agent

    WARNING map/SERVICES: map SERVICES has 80 of 100 rows in use
      Remedy: raise --max-services and restart the agent, or remove services

    1 error, 1 warning, 1 check well; -v shows all
    ");
    assert!(
        page.lines().all(|line| line.chars().count() <= 80),
        "{page}"
    );
}

#[test]
fn all_checks_are_shown_on_request() {
    let page = page(&fixture::diagnosis(), Layout::Whole, true);
    insta::assert_snapshot!(page, @"
    CHECK   FOUND
    clock   the clock is synchronised

    0 errors, 0 warnings, 1 check well
    ");
}

#[test]
fn versions_that_differ_are_a_warning() {
    assert_eq!(versions("0.1.0", "0.1.0").severity, Severity::Ok);
    let differ = versions("0.1.0", "0.2.0");
    assert_eq!(
        (differ.severity, differ.what.as_str()),
        (
            Severity::Warning,
            "the agent has version 0.1.0, meshctl has 0.2.0"
        )
    );
}
