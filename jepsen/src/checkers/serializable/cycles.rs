//! Circles in the graph: each shows that no order of the transactions exists.

use std::collections::{BTreeSet, VecDeque};

use super::graph::{Edge, Graph};

/// A shortest circle of each knot, at most so many.
pub(super) fn shortest(graph: &Graph, max: usize) -> Vec<Vec<Edge>> {
    let knots = knots(graph);
    knots.iter().filter_map(|knot| through(graph, knot)).take(max).collect()
}

/// Sets of more than one transaction that all come before each other (Tarjan's strongly connected components, without
/// recursion: histories are long).
fn knots(graph: &Graph) -> Vec<BTreeSet<usize>> {
    const UNSEEN: usize = usize::MAX;
    let count = graph.after.len();
    let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
    let mut held = vec![false; count];
    let (mut next, mut stack, mut knots) = (0, Vec::new(), Vec::new());
    for root in 0..count {
        if index[root] != UNSEEN {
            continue;
        }
        let mut calls: Vec<(usize, Vec<usize>)> = vec![(root, Vec::new())];
        while let Some((node, mut waiting)) = calls.pop() {
            if index[node] == UNSEEN {
                (index[node], low[node]) = (next, next);
                next += 1;
                stack.push(node);
                held[node] = true;
                waiting = graph.after[node].keys().copied().collect();
            }
            let mut deeper = None;
            while let Some(child) = waiting.pop() {
                if index[child] == UNSEEN {
                    deeper = Some(child);
                    // Looked at again when it is done, for what it reaches.
                    waiting.push(child);
                    break;
                }
                if held[child] {
                    low[node] = low[node].min(low[child]);
                }
            }
            if let Some(child) = deeper {
                calls.push((node, waiting));
                calls.push((child, Vec::new()));
                continue;
            }
            if low[node] == index[node] {
                let mut knot = BTreeSet::new();
                while let Some(member) = stack.pop() {
                    held[member] = false;
                    knot.insert(member);
                    if member == node {
                        break;
                    }
                }
                if knot.len() > 1 {
                    knots.push(knot);
                }
            }
        }
    }
    knots
}

/// A shortest circle within a knot.
fn through(graph: &Graph, knot: &BTreeSet<usize>) -> Option<Vec<Edge>> {
    // Knots may be large; a circle through one of a few members is short enough.
    let starts = knot.iter().take(64);
    starts.filter_map(|start| circle(graph, knot, *start)).min_by_key(Vec::len)
}

/// A shortest circle through one member, breadth first.
fn circle(graph: &Graph, knot: &BTreeSet<usize>, start: usize) -> Option<Vec<Edge>> {
    let mut came_by: Vec<Option<Edge>> = vec![None; graph.after.len()];
    let mut waiting: VecDeque<usize> = [start].into();
    while let Some(node) = waiting.pop_front() {
        for (to, why) in graph.after[node].iter().filter(|(to, _)| knot.contains(to)) {
            let edge = Edge { from: node, to: *to, why: *why };
            if *to == start {
                let mut circle = vec![edge];
                while let Some(before) = circle.last().and_then(|edge| came_by[edge.from]) {
                    circle.push(before);
                }
                circle.reverse();
                return Some(circle);
            }
            if came_by[*to].is_none() {
                came_by[*to] = Some(edge);
                waiting.push_back(*to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::serializable::graph::Why;

    #[test]
    fn a_shortest_circle_is_found_among_others() {
        let mut graph = Graph { after: vec![Default::default(); 6] };
        for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 0), (2, 0), (4, 0), (3, 5)] {
            graph.after[from].insert(to, Why::Read);
        }
        let circles = shortest(&graph, 9);
        assert_eq!(circles.len(), 1);
        let path: Vec<usize> = circles[0].iter().map(|edge| edge.from).collect();
        assert_eq!(path, [0, 1, 2]);
    }
}
