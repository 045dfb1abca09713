//! Measures the run time of the programs with the kernel's statistics.

use std::{fs, process::Command, time::Duration};

use super::{super::table::Row, Scale, Scene};

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Turns the kernel's measurement of programs on; restores the setting when dropped.
struct Measuring(String);

impl Measuring {
    fn start() -> Self {
        let before = fs::read_to_string(SWITCH).expect("this kernel measures programs");
        fs::write(SWITCH, "1").expect("root may switch it on");
        Self(before)
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        _ = fs::write(SWITCH, self.0.trim());
    }
}

pub(super) fn cost(scale: &Scale) -> Vec<Row> {
    let _measuring = Measuring::start();
    let scenes = ["leastConnections", "random"]
        .map(|policy| Scene::new(&format!("balance: {policy}"), 2, &[0; 10]));
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..scale.rounds.max(3) {
        for (scene, times) in scenes.iter().zip(&mut times) {
            let before = run_time(scene);
            scene.connect(2, Duration::from_millis(1500));
            let after = run_time(scene);
            times.push((after.0 - before.0) as f64 / (after.1 - before.1) as f64);
        }
    }
    println!(
        "    least-connections {:.0} ns, random {:.0} ns a connect",
        times[0][0], times[1][0]
    );
    let ratio: Vec<f64> = times[0]
        .iter()
        .zip(&times[1])
        .map(|(least, random)| least / random)
        .collect();
    vec![Row::at_most(
        "program time of least-connections / random",
        &ratio,
        1.3,
    )]
}

/// Returns the total run time in nanoseconds, and the number of runs.
fn run_time(scene: &Scene) -> (u64, u64) {
    let hooks = scene.node.status().hooks;
    let id = hooks
        .iter()
        .find(|hook| hook.name == "connect4")
        .expect("it is attached")
        .program_id;
    let output = Command::new("bpftool")
        .args(["-j", "prog", "show", "id", &id.to_string()])
        .output();
    let json: serde_json::Value =
        serde_json::from_slice(&output.expect("bpftool is there").stdout).expect("it is JSON");
    let number = |field: &str| json[field].as_u64().unwrap_or(0);
    (number("run_time_ns"), number("run_cnt"))
}
