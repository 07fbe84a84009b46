//! Server-sent events.

use crate::http::{Event, Events};
use crate::network::Network;
use crate::neuron::transcript;

fn states(events: &[Event]) -> Vec<(u64, &str)> {
    let states = events.iter().filter(|event| event.kind == "state");
    states.map(|event| (event.id.unwrap(), event.data["state"].as_str().unwrap())).collect()
}

#[test]
fn a_task_is_told_from_its_queue_to_its_end() {
    let network = Network::start(&["--redundancy", "1", "--event-heartbeat-s", "0.2"]);
    let task = network.create_task(&[]);
    let path = format!("/v1/tasks/{}/events", task["id"].as_str().unwrap());
    let mut live = Events::open(network.url(), &path, None);
    let first = live.next().unwrap();
    assert_eq!((first.kind.as_str(), first.id, first.data["state"].as_str()), ("state", Some(1), Some("queued")));
    // Nobody takes the task: no event is due, and what keeps the stream open is a comment.
    assert!(live.is_kept_open(), "nothing came for as long as a client waits");
    let miner = &network.miners[0];
    let lease = miner.claim_one(&network.peer, "c");
    miner.heartbeat(&network.peer, &lease, 0.25, "and so").expect(200);
    let progress =
        std::iter::from_fn(|| live.next()).find(|event| event.kind == "progress" && event.data["partial"] == "and so");
    let progress = progress.unwrap();
    assert_eq!((progress.id, progress.data["progress"].as_f64()), (None, Some(0.25)), "progress is not numbered");
    miner.submit(&network.peer, &lease, &transcript("and so on")).expect(200);
    network.judge(0.9, "and so");
    let rest = live.rest();
    assert_eq!(states(&rest).last().map(|&(_, state)| state), Some("verified"), "the stream ends with the task");
    let answered = rest.iter().find(|event| event.data["state"] == "answered").unwrap();
    assert_eq!(answered.data["answer"]["text"], "and so on");

    // Whoever was away gets exactly what was missed.
    let all = Events::open(network.url(), &path, Some(0)).rest();
    assert_eq!(states(&all), [(1, "queued"), (2, "running"), (3, "answered"), (4, "verified")]);
    let resumed = Events::open(network.url(), &path, Some(2)).rest();
    assert_eq!(states(&resumed), [(3, "answered"), (4, "verified")]);
    assert!(Events::open(network.url(), &path, Some(4)).rest().is_empty(), "nothing is left, and the stream ends");
    assert_eq!(
        states(&Events::open(network.url(), &path, None).rest()),
        [(4, "verified")],
        "a newcomer gets the newest"
    );
}

#[test]
fn a_stream_resumes_across_a_crash() {
    let mut network = Network::start(&["--redundancy", "1"]);
    let task = network.create_task(&[]);
    let path = format!("/v1/tasks/{}/events", task["id"].as_str().unwrap());
    let mut live = Events::open(network.url(), &path, None);
    let last = live.next().unwrap().id;
    let lease = network.miners[0].claim_one(&network.peer, "c");
    network.crash_and_restart();
    network.miners[0].submit(&network.peer, &lease, &transcript("hello")).expect(200);
    let mut resumed = Events::open(network.url(), &path, last);
    let next: Vec<Event> = (0..2).filter_map(|_| resumed.next()).collect();
    assert_eq!(states(&next), [(2, "running"), (3, "answered")]);
}

#[test]
fn open_streams_do_not_hold_up_the_end() {
    let mut network = Network::start(&[]);
    let task = network.create_task(&[]);
    let mut live = Events::open(network.url(), &format!("/v1/tasks/{}/events", task["id"].as_str().unwrap()), None);
    live.next().unwrap();
    let started = std::time::Instant::now();
    assert_eq!(network.terminate(), Some(0));
    assert!(started.elapsed().as_secs() < 8, "the drain was not used up");
    assert!(live.rest().iter().all(|event| event.kind == "progress"), "and the stream was closed");
}
