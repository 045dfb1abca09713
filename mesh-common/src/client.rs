//! The client for which a connect counts: the cgroup that the node's manager made for a pod, a unit
//! or a user. Takes the cgroups above a task, returns one id.
//!
//! A tenant can create cgroups below its own, network namespaces and processes, but no second
//! cgroup of this kind. So quotas, shares and outcomes are kept for these cgroups.
//!
//! ```text
//! / ──► kubepods.slice ──► kubepods-burstable.slice ──► kubepods-burstable-pod….slice ──► cri-containerd-….scope
//! └──────────────────── groups ──────────────────┘      └── client                        └── made by the client
//! ```
//!
//! A **group** is a cgroup in which managers keep clients. The agent knows groups by their names
//! and writes them to GROUPS; its own cgroup is a group. All cgroups below a group that is not in
//! GROUPS are one client.

/// Levels below the root that are searched.
pub const DEPTH: i32 = 12;

/// Returns the id of a task's client: the first cgroup below groups that is not a group. `ancestor`
/// returns the ids of the task's cgroups from the root on, and zero below the last. A task in a
/// group itself belongs to that group; a task outside of all groups has no client, zero.
#[inline(always)]
pub fn find(ancestor: impl Fn(i32) -> u64, is_group: impl Fn(u64) -> bool) -> u64 {
    let mut group = 0;
    for level in 0..DEPTH {
        let id = ancestor(level);
        if id == 0 {
            break;
        }
        if is_group(id) {
            group = id;
        } else if group != 0 {
            return id;
        }
    }
    group
}

/// Returns the short form of an id. The lower half of a cgroup's id is unique while the cgroup
/// exists: the kernel counts its uses in the upper half (`kernfs_get_ino`, fs/kernfs/dir.c).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
pub const fn short(id: u64) -> u32 {
    id as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: [u64; 3] = [1, 20, 30];

    fn client(path: &[u64]) -> u64 {
        find(
            |level| {
                path.get(usize::try_from(level).unwrap())
                    .copied()
                    .unwrap_or(0)
            },
            |id| GROUPS.contains(&id),
        )
    }

    #[test]
    fn a_client_is_the_first_cgroup_below_the_groups() {
        assert_eq!(client(&[1, 20, 30, 40]), 40);
        assert_eq!(client(&[1, 40]), 40);
    }

    #[test]
    fn what_a_client_makes_below_its_cgroup_counts_for_it() {
        assert_eq!(client(&[1, 20, 40, 50, 60]), 40);
        assert_eq!(client(&[1, 20, 40, 30]), 40, "even under the id of a group");
    }

    #[test]
    fn a_task_in_a_group_belongs_to_the_group() {
        assert_eq!(client(&[1]), 1);
        assert_eq!(client(&[1, 20]), 20);
    }

    #[test]
    fn cgroups_above_the_first_group_do_not_count() {
        assert_eq!(client(&[7, 8, 20, 40, 50]), 40);
        assert_eq!(client(&[7, 8]), 0, "outside of all groups");
    }

    #[test]
    fn deeper_cgroups_than_are_looked_at_belong_to_the_last_group() {
        assert_eq!(client(&[1; 100]), 1);
    }
}
