use super::*;

const COLUMNS: [Column; 4] = [
    Column::name("SERVICE"),
    Column::new("CONNECTS"),
    Column::new("A").extra(1),
    Column::name("HEALTH").extra(2),
];

fn rows() -> Vec<Vec<String>> {
    let rows = [
        [
            "team-with-a-very-long-name/checkout-service-v2",
            "60",
            "1",
            "healthy",
        ],
        [
            "shop/cart",
            "117",
            "2",
            "unhealthy (connection refused, 12s)",
        ],
    ];
    rows.map(|row| row.map(String::from).to_vec()).into()
}

fn widest_line(text: &str) -> usize {
    text.lines().map(length).max().unwrap_or_default()
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    insta::assert_snapshot!(Layout::Whole.table(&COLUMNS, rows()), @"
    SERVICE                                          CONNECTS   A   HEALTH
    team-with-a-very-long-name/checkout-service-v2   60         1   healthy
    shop/cart                                        117        2   unhealthy (connection refused, 12s)
    ");
    assert_eq!(Layout::Whole.list(&["a", "b", "c", "d"]), "a,b,c,d");
    assert_eq!(
        Layout::Whole.table(&COLUMNS, rows()),
        Layout::Fit(200).table(&COLUMNS, rows())
    );
}

#[test]
fn long_names_are_cut_in_the_middle() {
    insta::assert_snapshot!(Layout::Fit(60).table(&COLUMNS, rows()), @"
    SERVICE                 CONNECTS  A  HEALTH
    team-with-a…service-v2  60        1  healthy
    shop/cart               117       2  unhealthy (…fused, 12s)
    ");
}

#[test]
fn extra_columns_are_left_out_and_named() {
    insta::assert_snapshot!(Layout::Fit(32).table(&COLUMNS, rows()), @"
    SERVICE              CONNECTS  A
    team-with…ervice-v2  60        1
    shop/cart            117       2
    (-o wide shows also HEALTH)
    ");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for room in 1..120 {
        let text = Layout::Fit(room).table(&COLUMNS, rows());
        assert!(widest_line(&text) <= room, "{room}:\n{text}");
        assert!(text.lines().count() >= 3, "{room}:\n{text}");
    }
}

#[test]
fn wide_tables_have_columns_without_a_value_too() {
    let rows =
        [["a", "-", "1", "-"], ["b", "-", "-", "-"]].map(|row| row.map(String::from).to_vec());
    assert_eq!(
        Layout::Fit(80).sparse(&COLUMNS, rows.clone()),
        "SERVICE   A\na         1\nb         -\n"
    );
    assert_eq!(
        Layout::Wide.sparse(&COLUMNS, rows),
        "SERVICE   CONNECTS   A   HEALTH\na         -          1   -\nb         -          -   -\n"
    );
    let none = Layout::Whole.sparse(&COLUMNS, []);
    assert_eq!(none, "SERVICE   CONNECTS   A   HEALTH\n");
}

#[test]
fn columns_are_aligned_and_control_characters_are_shown() {
    let rows = [["shop", "cart", ""], ["kube-system", "d\x1b[2Jns\n", "x"]]
        .map(|row| row.map(String::from).to_vec());
    let columns = ["NAMESPACE", "NAME", "NOTE"].map(Column::new);
    assert_eq!(
        Layout::Whole.table(&columns, rows),
        "NAMESPACE     NAME             NOTE\n\
         shop          cart\n\
         kube-system   d\\u{1b}[2Jns\\n   x\n"
    );
    let wide = "x".repeat(500);
    assert_eq!(
        aligned([vec![wide.clone(), wide.clone()]]),
        format!("{wide}   {wide}\n")
    );
}

#[test]
fn long_lists_are_cut_on_a_terminal() {
    let list = |items: &[&str]| Layout::Fit(80).list(items);
    assert_eq!(list(&[]), "-");
    assert_eq!(list(&["a", "b", "c"]), "a,b,c");
    assert_eq!(list(&["a", "b", "c", "d", "e"]), "a,b,c +2 more");
}

#[test]
fn long_page_keeps_its_first_lines() {
    let screen = Screen {
        columns: 60,
        rows: 5,
    };
    assert_eq!(first_screen("a\nb\nc\nd\n", screen), "a\nb\nc\nd\n");
    let more = "(2 more lines; a taller window shows more, and so does the …\n";
    assert_eq!(
        first_screen("a\nb\nc\nd\ne\n", screen),
        format!("a\nb\nc\n{more}")
    );
    let folded = format!("a\n{}\nc\nd\n", "x".repeat(61));
    let more = first_screen(&folded, screen);
    assert!(
        more.starts_with(&format!("a\n{}\n(2 more", "x".repeat(61))),
        "{more}"
    );
}

#[test]
fn addresses_are_cut_before_names_except_ipv4() {
    let columns = [
        Column::name("SERVICE"),
        Column::port("PORT"),
        Column::address("ENDPOINT"),
        Column::new("CONNECTS").extra(1),
    ];
    let rows = [
        [
            "shop/checkout",
            "http:80/TCP",
            "[2001:db8:1234:5678:9abc:def0:1234:5678]:8080",
            "60",
        ],
        [
            "shop/checkout",
            "admin:81/TCP",
            "255.255.255.255:65535",
            "7",
        ],
    ];
    let rows: Vec<Vec<String>> = rows.map(|row| row.map(String::from).to_vec()).into();
    insta::assert_snapshot!(Layout::Fit(60).table(&columns, rows.clone()), @"
    SERVICE        PORT          ENDPOINT               CONNECTS
    shop/checkout  http:80/TCP   [2001:db8:…5678]:8080  60
    shop/checkout  admin:81/TCP  255.255.255.255:65535  7
    ");
    insta::assert_snapshot!(Layout::Fit(52).table(&columns, rows), @"
    SERVICE        PORT          ENDPOINT
    shop/checkout  http:80/TCP   [2001:db8:1…:5678]:8080
    shop/checkout  admin:81/TCP  255.255.255.255:65535
    (-o wide shows also CONNECTS)
    ");
}

#[test]
fn long_lines_are_folded_between_words_on_a_terminal() {
    let page =
        "Errors:\n  team.yaml:10: services[0].ports[0].port: expected a port, found `0`\nshort\n"
            .to_owned();
    assert_eq!(Layout::Whole.folded(page.clone()), page);
    let expected = "Errors:\n  team.yaml:10:\n      services[0].ports[0].port:\n      expected a port, found `0`\nshort\n";
    assert_eq!(Layout::Fit(32).folded(page.clone()), expected);
    for room in 1..100 {
        let folded = Layout::Fit(room).folded(page.clone());
        assert!(
            room < 16 || widest_line(&folded) <= room,
            "{room}:\n{folded}"
        );
        let words = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(words(&folded), words(&page), "nothing is lost");
    }
    assert_eq!(
        Layout::Fit(20).folded(format!("{}\n", "é".repeat(30))),
        format!("{}\n    {}\n", "é".repeat(20), "é".repeat(10))
    );
}
