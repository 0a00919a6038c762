use jiff::Timestamp;

use crate::example::Example;

#[test]
fn tells_each_second_and_the_last_one_at_once() {
    let example = Example::start(env!("CARGO_BIN_EXE_clock"));
    assert!(example.ask("GET", "/", &[], "").1.contains("new EventSource("));
    let mut clock = example.open("/clock", &[]);
    let ticks: [Timestamp; 3] = std::array::from_fn(|_| clock.data().parse().unwrap());
    assert!(ticks.is_sorted_by(|one, next| one < next), "{ticks:?}");
    assert!(ticks.iter().all(|tick| tick.subsec_nanosecond() == 0), "{ticks:?}");
    let late = Timestamp::now().duration_since(ticks[2]).as_secs();
    assert!((0..60).contains(&late), "the last tick is {late} s old");

    // a tick may fall between the look at the clock and the subscription, but not each time
    let at_once = (0..5).any(|_| {
        let now = Timestamp::now();
        example.open("/clock", &[]).data().parse::<Timestamp>().unwrap() <= now
    });
    assert!(at_once, "who comes waits for the next second");
    example.stop("INT");
}
