//! `meshctl config`

mod running_agent;

use serde::Serialize;

use self::running_agent::AgentState;
use super::{
    Exit, Failure,
    layout::Layout,
    render::{count, printable},
    session::Session,
};
use crate::{
    api::types::ConfigProblem,
    model::Update,
    source::{self, ServiceDir},
};

/// Check the configuration of services
#[derive(clap::Subcommand)]
#[command(after_long_help = "\
Examples:
  meshctl config validate ./services           check files before they are deployed
  meshctl config schema > service.schema.json  for editors")]
pub(super) enum Verb {
    /// Check service files, with or without an agent
    ///
    /// Prints all errors as FILE:LINE: FIELD: REASON, then notes about ignored objects, then a
    /// summary. The exit code is 1 when there is an error. Give all files of a node in one command,
    /// because services in different files can conflict. When two services ask for one address, the
    /// error is at the one that does not hold it on this node; without a running agent, at the
    /// second by file name. The settings of the running agent decide which addresses and node ports
    /// are allowed; without an agent, only claims that no agent allows by default are errors. Empty
    /// input is an error; write `services: []` for no services.
    #[command(after_long_help = "\
Examples:
  meshctl config validate /etc/mesh-agent/services.d   what this node serves
  meshctl config validate ./base ./node-a              before it is deployed, in CI
  meshctl config validate shop.yaml                    one file
  kubectl get services,endpointslices -A -o yaml | meshctl config validate -
                                                       standard input
  meshctl config validate ./services -o json           the same for a script")]
    Validate {
        /// Directories of .yaml, .yml and .json files, single files, or - for standard input
        #[arg(required = true, value_name = "[NAME=]DIR|FILE|-")]
        paths: Vec<ServiceDir>,
    },
    /// Print the JSON Schema of service files in the native form
    ///
    /// Editors complete and check the fields of a file that names the schema in its first line. For
    /// editors with yaml-language-server (VS Code, Neovim, Helix and others), that line is
    /// `# yaml-language-server: $schema=` and the path of the schema. The schema knows names, types
    /// and ranges of fields; `meshctl config validate` also checks what depends on other fields and
    /// services. Needs no agent, and prints JSON in every output format.
    #[command(after_long_help = "\
Examples:
  meshctl config schema > service.schema.json          beside the service files
  sed -i '1i # yaml-language-server: $schema=service.schema.json' shop.yaml
                                                       for editors")]
    Schema,
}

pub(super) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Validate { paths } => validate(session, &paths).await,
        Verb::Schema => {
            session.write(&[&source::schema::text()])?;
            Ok(Exit::Ok)
        }
    }
}

async fn validate(session: &mut Session<'_>, paths: &[ServiceDir]) -> Result<Exit, Failure> {
    let AgentState { owners, admission } = running_agent::ask(session).await;
    let validation = Validation::from(&mesh_files::dir::read_paths(paths, owners, admission));
    session.show(&validation, page)?;
    Ok(validation.exit())
}

/// The result of a validation. Stable: fields are added, never renamed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Validation {
    services: usize,
    ports: usize,
    endpoints: usize,
    errors: Vec<ConfigProblem>,
    errors_total: usize,
    notes: Vec<ConfigProblem>,
}

impl From<&Update> for Validation {
    fn from(update: &Update) -> Self {
        let Update {
            services,
            complete: _,
            errors,
            errors_total,
            notes,
            left_out: _,
            uncertain: _,
            wrong: _,
        } = update;
        let ports = || services.values().flat_map(|service| &service.ports);
        Self {
            services: services.len(),
            ports: ports().count(),
            endpoints: ports().map(|port| port.endpoints.len()).sum(),
            errors: errors.iter().map(ConfigProblem::from).collect(),
            errors_total: *errors_total,
            notes: notes.iter().map(ConfigProblem::from).collect(),
        }
    }
}

impl Validation {
    fn exit(&self) -> Exit {
        if self.errors.is_empty() {
            Exit::Ok
        } else {
            Exit::No
        }
    }
}

fn page(validation: &Validation, _: Layout) -> String {
    let errors = validation.errors.iter().map(ToString::to_string);
    let notes = validation
        .notes
        .iter()
        .map(|note| format!("{}:{}: note: {}", note.file, note.line, note.reason));
    let lines = errors
        .chain(notes)
        .map(|line| printable(&line))
        .chain([summary(validation)]);
    lines.fold(String::new(), |page, line| page + &line + "\n")
}

/// `3 services, 5 ports, 12 endpoints; 2 errors, 1 note`
fn summary(validation: &Validation) -> String {
    let Validation {
        services,
        ports,
        endpoints,
        errors: _,
        errors_total,
        notes,
    } = validation;
    let holds = [
        count(*services, "service"),
        count(*ports, "port"),
        count(*endpoints, "endpoint"),
    ]
    .join(", ");
    format!(
        "{holds}; {}, {}",
        count(*errors_total, "error"),
        count(notes.len(), "note")
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_core::desired::fixture;

    use super::*;
    use crate::{
        model::{ConfigError, ConfigNote, Origin, Service},
        render::json,
    };

    #[test]
    fn valid_configuration_prints_a_summary() {
        let update = Update {
            services: fixture::services([cart()]),
            complete: true,
            ..Update::default()
        };
        let validation = Validation::from(&update);
        assert_eq!(
            page(&validation, Layout::Whole),
            "1 service, 1 port, 2 endpoints; 0 errors, 0 notes\n"
        );
        assert_eq!(validation.exit(), Exit::Ok);
    }

    #[test]
    fn every_error_is_printed_before_the_notes() {
        let validation = Validation::from(&wrong());
        insta::assert_snapshot!(page(&validation, Layout::Whole), @r"
        shop.yaml:3: services[0].ports[0].port: must be 1 to 65535
        shop.yaml:1: is not YAML:\n\u{1b}[31mtab
        shop.yaml:9: note: kind Pod is not served
        0 services, 0 ports, 0 endpoints; 2 errors, 1 note
        ");
        assert_eq!(validation.exit(), Exit::No);
    }

    #[test]
    fn json_holds_the_same() {
        insta::assert_snapshot!(json(&Validation::from(&wrong())), @r#"
        {
          "services": 0,
          "ports": 0,
          "endpoints": 0,
          "errors": [
            {
              "file": "shop.yaml",
              "line": 3,
              "field": "services[0].ports[0].port",
              "reason": "must be 1 to 65535"
            },
            {
              "file": "shop.yaml",
              "line": 1,
              "field": "",
              "reason": "is not YAML:\n\u001b[31mtab"
            }
          ],
          "errorsTotal": 2,
          "notes": [
            {
              "file": "shop.yaml",
              "line": 9,
              "field": "",
              "reason": "kind Pod is not served"
            }
          ]
        }
        "#);
    }

    fn wrong() -> Update {
        let errors = vec![
            ConfigError {
                origin: origin(3),
                field: "services[0].ports[0].port".into(),
                reason: "must be 1 to 65535".into(),
            },
            ConfigError {
                origin: origin(1),
                field: String::new(),
                reason: "is not YAML:\n\x1b[31mtab".into(),
            },
        ];
        let notes = vec![ConfigNote {
            origin: origin(9),
            message: "kind Pod is not served".into(),
        }];
        Update {
            errors_total: errors.len(),
            errors,
            notes,
            ..Update::default()
        }
    }

    fn cart() -> Service {
        fixture::with(
            fixture::fixed("cart", "10.96.0.1"),
            &[("10.0.0.1:8080", 1), ("10.0.0.2:8080", 1)],
        )
    }

    fn origin(line: u32) -> Origin {
        Origin::Line {
            file: Arc::new("shop.yaml".into()),
            line,
        }
    }
}
