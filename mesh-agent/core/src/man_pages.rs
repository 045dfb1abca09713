//! Man pages of a command line, for packages.

use std::collections::BTreeMap;

use clap::Command;
use clap_mangen::Man;

/// Returns the pages of a command and all its subcommands as JSON: file name (`meshctl-status.1`) to
/// text. `section` is 1 for commands of all users and 8 for daemons.
pub fn json(command: Command, section: &str) -> String {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = BTreeMap::new();
    add(&command, section, &mut pages);
    serde_json::to_string(&pages).expect("texts are JSON")
}

fn add(command: &Command, section: &str, pages: &mut BTreeMap<String, String>) {
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        add(subcommand, section, pages);
    }
    let man = Man::new(command.clone()).section(section);
    let mut page = Vec::new();
    man.render(&mut page).expect("memory can be written");
    let text = String::from_utf8(page).expect("a page is text");
    pages.insert(man.get_filename(), text);
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn every_visible_command_has_a_page_in_its_section() {
        let verb = Command::new("verb").arg(Arg::new("deadline").long("deadline").env("DEADLINE"));
        let hidden = Command::new("hidden").hide(true);
        let noun = Command::new("noun").subcommand(verb);
        let json = json(Command::new("tool").subcommands([noun, hidden]), "8");
        let pages: BTreeMap<String, String> = serde_json::from_str(&json).unwrap();
        let names: Vec<_> = pages.keys().map(String::as_str).collect();
        assert_eq!(names, ["tool-noun-verb.8", "tool-noun.8", "tool.8"]);
        let verb = &pages["tool-noun-verb.8"];
        assert!(
            verb.contains(".TH tool-noun-verb 8") && verb.contains("DEADLINE"),
            "{verb}"
        );
    }
}
