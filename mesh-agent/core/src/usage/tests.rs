use clap::Subcommand;

use super::*;

#[derive(Parser, PartialEq, Debug)]
#[command(name = "shop")]
struct Shop {
    #[arg(short, long, global = true, value_parser = ["table", "json", "yaml"])]
    output: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, PartialEq, Debug)]
enum Verb {
    Open {
        #[arg(long, env = "SHOP_OF_THIS_TEST")]
        door: Option<u8>,
        #[arg(long)]
        light: bool,
    },
    Sell {
        what: String,
        to: String,
    },
}

fn wrong(line: &str) -> (Vec<String>, Option<Shop>) {
    match read(line.split(' '), |_| "") {
        Usage::Wrong { lines, rest } => (lines, rest),
        Usage::Right(right) => panic!("{right:?}"),
        Usage::Answer(answer) => panic!("{answer}"),
    }
}

fn lines(line: &str) -> Vec<String> {
    wrong(line).0
}

const DOOR: &str = "--door (or SHOP_OF_THIS_TEST)";

#[test]
fn each_error_names_its_place_and_the_fix() {
    assert_eq!(
        lines("shop open --dor 1"),
        ["--dor: unknown flag; did you mean --door?"]
    );
    let help = "`shop open --help` says what can stand there";
    assert_eq!(
        lines("shop open --xyz=1"),
        [format!("--xyz: unknown flag; {help}")]
    );
    assert_eq!(
        lines("shop open now"),
        [format!("now: unexpected word; {help}")]
    );
    assert_eq!(
        lines("shop ope"),
        ["ope: unknown command; known here: open, sell; did you mean open?"]
    );
    assert_eq!(
        lines("shop open --door"),
        [format!("{DOOR}: empty: give it a value, or leave it out")]
    );
    assert_eq!(
        lines("shop open --door 1 --door 2"),
        [format!("{DOOR}: given twice: give it once")]
    );
    assert_eq!(
        lines("shop open --door 256"),
        [format!("{DOOR}: 256 is not in 0..=255")]
    );
    let output = "--output: expected table, json or yaml, found `xaml`; did you mean yaml?";
    assert_eq!(lines("shop open -o xaml"), [output]);
    assert_eq!(
        lines("shop sell"),
        ["<WHAT>, <TO>: missing; write `shop sell <WHAT> <TO>`"]
    );
}

#[test]
fn all_errors_are_reported_at_once_and_the_rest_is_parsed() {
    let open = |door| {
        Some(Shop {
            output: None,
            verb: Verb::Open { door, light: false },
        })
    };
    for output in ["--output xml", "--output=xml", "-o xml", "-oxml", "-o=xml"] {
        let (told, rest) = wrong(&format!("shop {output} open --xyz 7 --door 3 now --zyx"));
        let help = "`shop open --help` says what can stand there";
        let expected = [
            "--xyz: unknown flag",
            "now: unexpected word",
            "--zyx: unknown flag",
        ];
        let expected = expected.map(|what| format!("{what}; {help}"));
        let of_words: Vec<&String> = told
            .iter()
            .filter(|line| !line.starts_with("--output"))
            .collect();
        assert_eq!(
            (of_words, told.len()),
            (expected.iter().collect(), 4),
            "{output}: {told:?}"
        );
        assert_eq!(rest, open(Some(3)), "{output}");
    }
    assert_eq!(
        wrong("shop --xyz open").1,
        open(None),
        "a command is no value"
    );
    assert_eq!(
        wrong("shop open --door --light").1.map(|shop| shop.verb),
        Some(Verb::Open {
            door: None,
            light: true
        })
    );
}

#[test]
fn errors_that_removed_arguments_may_cause_are_not_reported() {
    assert_eq!(
        lines("shop sell --xyz tea me"),
        ["--xyz: unknown flag; `shop sell --help` says what can stand there"]
    );
    assert_eq!(
        lines("shop --xyz"),
        ["--xyz: unknown flag; `shop --help` says what can stand there"]
    );
    assert_eq!(lines("shop open --xyz --help").len(), 1);
}

#[test]
fn a_hint_follows_the_line() {
    let hint = |error: &Error| {
        if error.kind() == ErrorKind::InvalidSubcommand {
            "; write open"
        } else {
            ""
        }
    };
    let Usage::Wrong { lines, rest: None } = read::<Shop>(["shop", "xyz", "--abc"], hint) else {
        panic!("it is wrong")
    };
    assert_eq!(
        lines,
        ["xyz: unknown command; known here: open, sell; write open"]
    );
}

#[test]
fn help_is_an_answer_and_not_an_error() {
    for line in ["shop", "shop --help", "shop sell --help"] {
        assert!(
            matches!(read::<Shop>(line.split(' '), |_| ""), Usage::Answer(_)),
            "{line}"
        );
    }
    let sell = Verb::Sell {
        what: "tea".into(),
        to: "me".into(),
    };
    let Usage::Right(right) = read::<Shop>("shop sell tea me".split(' '), |_| "") else {
        panic!("it is right")
    };
    assert_eq!(
        right,
        Shop {
            output: None,
            verb: sell
        }
    );
}
