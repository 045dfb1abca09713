//! Runs child processes. Commands are printed, and errors name them.

use std::{convert::Infallible, os::unix::process::CommandExt, path::PathBuf, process::Command};

use anyhow::{Context, bail};

/// Runs a command to its end, with its output shown.
pub fn check(command: &mut Command) -> anyhow::Result<()> {
    println!("$ {}", line(command));
    let status = command.status().with_context(|| line(command))?;
    if !status.success() {
        bail!("{}: {status}", line(command));
    }
    Ok(())
}

/// Runs a command to its end, and returns its standard output.
pub fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| line(command))?;
    if !output.status.success() {
        bail!(
            "{}: {}: {}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Replaces this process by the command (`exec`), so that its output comes last.
pub fn replace(command: &mut Command) -> anyhow::Result<Infallible> {
    println!("$ {}", line(command));
    Err(command.exec()).with_context(|| line(command))
}

/// Returns the path of a program in `PATH`.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Returns a command as typed in a shell: variables, program, arguments.
pub fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!(
            "{}={}",
            name.to_string_lossy(),
            value?.to_string_lossy()
        ))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    variables
        .chain(words.map(|word| word.to_string_lossy().into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_what_one_would_type() {
        let mut command = Command::new("cargo");
        command
            .env("A", "b")
            .env_remove("C")
            .args(["build", "--release"]);
        assert_eq!(line(&command), "A=b cargo build --release");
    }

    #[test]
    fn failure_names_the_command_and_its_words() {
        let error = read(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.ends_with("broken"),
            "{error}"
        );
    }
}
