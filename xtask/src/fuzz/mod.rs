//! Coverage-guided fuzzing with libFuzzer on the stable compiler: builds the targets of `tests/fuzz`
//! with coverage counters, runs them one after the other, and sums up.
//!
//! ```text
//! tests/fuzz/corpus/TARGET ──► libFuzzer ──► target/fuzz/found/TARGET     inputs with new coverage
//! golden cases, words.dict ──►     └───────► target/fuzz/failed/TARGET-*  inputs that break a rule
//! ```

mod build;
mod output;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;

use self::output::Figures;
use crate::{run, setup, workspace};

/// Most time for one input, in seconds.
const TIME: u32 = 20;
/// Most memory of the fuzzer, in MiB.
const MEMORY: u32 = 2048;
/// Longest input, in bytes.
const LENGTH: u32 = 4096;
/// Longest input in the repository.
const KEPT_LENGTH: u32 = 2048;
/// Most inputs of a target in the repository.
const KEPT: usize = 70;
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Targets and duration.
#[derive(Args)]
pub struct Options {
    /// Only this target, a directory of tests/fuzz/corpus
    target: Option<String>,
    /// Time for all targets together
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Then replace the corpus in the repository by a few inputs that cover most of what was reached
    #[arg(long)]
    keep: bool,
}

/// Builds the fuzzer and runs the targets. Fails when an input breaks a rule.
pub fn fuzz(options: &Options) -> anyhow::Result<()> {
    let targets = targets(options.target.as_deref())?;
    setup::ensure(setup::FUZZ)?;
    let start = Instant::now();
    let fuzzer = build::fuzzer()?;
    println!("built in {} s", start.elapsed().as_secs());
    let seconds = options.minutes * 60.0 / targets.len() as f64;
    let each = Duration::try_from_secs_f64(seconds).context("--minutes is not a time")?;
    let mut all = Vec::new();
    for target in &targets {
        let figures = Fuzzer::new(&fuzzer, target)?.run(each)?;
        println!("{}", figures.line(target));
        all.push((target, figures));
    }
    if options.keep {
        for target in &targets {
            Fuzzer::new(&fuzzer, target)?.keep()?;
        }
    }
    println!("\n{}", Figures::HEAD);
    all.iter()
        .for_each(|(target, figures)| println!("{}", figures.row(target)));
    let failed: Vec<String> = all.into_iter().flat_map(|(_, it)| it.failed).collect();
    if !failed.is_empty() {
        bail!(
            "inputs that break a rule: {}; copy each to tests/fuzz/corpus/TARGET and run \
             `cargo nextest run -p mesh-fuzz`",
            failed.join(", ")
        );
    }
    Ok(())
}

/// Returns the targets, each of which has a directory.
fn targets(only: Option<&str>) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(corpus())?;
    let found = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = found.collect::<std::io::Result<Vec<String>>>()?;
    names.sort();
    match only {
        None => Ok(names),
        Some(only) if names.iter().any(|name| name == only) => Ok(vec![only.to_owned()]),
        Some(only) => bail!("no target {only}; there are {}", names.join(", ")),
    }
}

fn corpus() -> PathBuf {
    workspace::root().join("tests/fuzz/corpus")
}

/// Runs libFuzzer for one target.
struct Fuzzer<'a> {
    program: &'a Path,
    target: &'a str,
    found: PathBuf,
    failed: PathBuf,
}

impl<'a> Fuzzer<'a> {
    fn new(program: &'a Path, target: &'a str) -> anyhow::Result<Self> {
        let found = workspace::target().join("fuzz/found").join(target);
        let failed = workspace::target().join("fuzz/failed");
        fs::create_dir_all(&found)?;
        fs::create_dir_all(&failed)?;
        Ok(Self {
            program,
            target,
            found,
            failed,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .env("MESH_FUZZ_TARGET", self.target)
            .arg(format!("-timeout={TIME}"))
            .arg(format!("-rss_limit_mb={MEMORY}"));
        command
    }

    /// Fuzzes for this time, and shows the progress.
    fn run(&self, time: Duration) -> anyhow::Result<Figures> {
        let mut command = self.command();
        command
            .arg(format!("-max_total_time={}", time.as_secs().max(1)))
            .arg(format!("-max_len={LENGTH}"))
            .arg(format!(
                "-artifact_prefix={}/{}-",
                self.failed.display(),
                self.target
            ))
            .arg("-print_final_stats=1")
            .arg(format!("-dict={}", dictionary().display()))
            .arg(&self.found)
            .arg(corpus().join(self.target))
            .args(self.examples())
            .stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| run::line(&command))?;
        let stderr = child.stderr.take().context("it is piped")?;
        let (mut figures, mut shown) = (Figures::default(), Instant::now());
        let mut rest = Vec::new();
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            if !figures.read(&line) {
                rest.push(line);
            } else if shown.elapsed() >= PROGRESS {
                println!("{}", figures.line(self.target));
                shown = Instant::now();
            }
        }
        if !child.wait()?.success() {
            rest.iter().for_each(|line| println!("{line}"));
            if figures.failed.is_empty() {
                bail!("{} ended without an input that fails", run::line(&command));
            }
        }
        Ok(figures)
    }

    /// Returns further inputs to begin with.
    fn examples(&self) -> Vec<PathBuf> {
        let golden = workspace::root().join("tests/golden");
        match self.target {
            "native" | "kubernetes" => vec![golden, workspace::example()],
            _ => Vec::new(),
        }
    }

    /// Replaces the corpus by a few inputs with the same coverage. The merge writes the inputs with the
    /// most coverage first.
    fn keep(&self) -> anyhow::Result<()> {
        let (kept, new) = (
            corpus().join(self.target),
            self.failed.with_file_name("new"),
        );
        fs::create_dir_all(&new)?;
        let mut command = self.command();
        command
            .args(["-set_cover_merge=1", "-use_counters=0"])
            .arg(format!("-max_len={KEPT_LENGTH}"))
            .arg(&new)
            .args([&kept, &self.found])
            .args(self.examples())
            .stderr(Stdio::null());
        run::check(&mut command)?;
        fs::remove_dir_all(&kept)?;
        fs::create_dir(&kept)?;
        let entries = fs::read_dir(&new)?.collect::<std::io::Result<Vec<_>>>()?;
        let mut inputs = Vec::new();
        for entry in entries {
            inputs.push((entry.metadata()?.modified()?, entry));
        }
        inputs.sort_by_key(|(written, _)| *written);
        for (_, entry) in inputs.into_iter().take(KEPT) {
            fs::copy(entry.path(), kept.join(entry.file_name()))?;
        }
        Ok(fs::remove_dir_all(new)?)
    }
}

/// The words of the formats.
fn dictionary() -> PathBuf {
    workspace::root().join("tests/fuzz/words.dict")
}
