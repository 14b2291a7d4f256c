//! Trace flags of level 2: the sampled and the random flag leave as they came.

use super::{PARENT_ID, TRACE_ID, through};

#[tokio::test(flavor = "multi_thread")]
async fn the_random_flag_is_propagated() {
    for flags in ["02", "03"] {
        let parent = format!("00-{TRACE_ID}-{PARENT_ID}-{flags}");
        through(&[("traceparent", &parent)], |arrived| {
            arrived.joins();
            assert_eq!(format!("{:02x}", arrived.flags), flags);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_without_the_random_bit_stay_without_it() {
    for flags in ["00", "01"] {
        let parent = format!("00-{TRACE_ID}-{PARENT_ID}-{flags}");
        through(&[("traceparent", &parent)], |arrived| {
            assert_eq!(format!("{:02x}", arrived.flags), flags);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bits_that_nobody_defined_leave_as_zero() {
    let parent = format!("00-{TRACE_ID}-{PARENT_ID}-ff");
    through(&[("traceparent", &parent)], |arrived| {
        arrived.joins();
        assert_eq!(arrived.flags, 0x03);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_of_our_own_is_random() {
    through(&[], |arrived| assert_eq!(arrived.flags & 0x02, 0x02)).await;
}
