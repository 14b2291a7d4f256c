//! GCRA inside Redis: all limits of a request in one call, by Redis' own clock.

use super::gcra::Verdict;
use super::shared::Ask;
use redis::{Script, ScriptInvocation};
use std::time::Duration;

/// Numbers that the script gives for each limit.
const NUMBERS: usize = 4;

/// For each key three arguments: microseconds that one request uses up, the burst, and whether a
/// refusal counts. First every limit is asked; only if none refuses anything is written. Gives four
/// numbers for each key: admitted, remaining, microseconds until one more fits, and until the
/// burst is whole.
///
/// Times are microseconds since an epoch that is near, so that a double keeps their fractions. What
/// a clock that jumped or another quota left behind is cut to one window. Every key expires when it
/// is at rest.
const SOURCE: &str = r"
local clock = redis.call('TIME')
local now = (tonumber(clock[1]) - 1700000000) * 1000000 + tonumber(clock[2])
local verdicts, tats, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local window = interval * burst
  local tat = tonumber(redis.call('GET', key) or '') or now
  tat = math.min(math.max(tat, now), now + window)
  local owed = tat + interval - now
  local admitted, retry = 1, owed + interval - window
  if owed > window + 0.5 then
    admitted, retry, owed = 0, owed - window, tat - now
    refused = refused or ARGV[3 * i] == '1'
  else
    tats[i] = now + owed
  end
  local at = 4 * (i - 1)
  verdicts[at + 1] = admitted
  verdicts[at + 2] = math.max(0, math.floor((window - owed + 0.5) / interval))
  verdicts[at + 3] = math.max(0, math.ceil(retry - 0.5))
  verdicts[at + 4] = math.max(0, math.ceil(owed))
end
if not refused then
  for i, key in ipairs(KEYS) do
    if tats[i] then
      local rests_in = math.max(1, math.ceil((tats[i] - now) / 1000))
      redis.call('SET', key, string.format('%.3f', tats[i]), 'PX', rests_in)
    end
  end
end
return verdicts
";

/// The script, as the library sends it: by its digest, and whole where Redis does not know it.
pub(super) fn script() -> Script {
    Script::new(SOURCE)
}

/// One call for all of these.
pub(super) fn invocation<'s, 'a>(
    script: &'s Script,
    asks: impl Iterator<Item = Ask<'a>>,
) -> (ScriptInvocation<'s>, usize) {
    let mut call = script.prepare_invoke();
    let mut count = 0;
    for ask in asks {
        let micros = ask.quota.interval().as_nanos();
        let interval = format!("{}.{:03}", micros / 1_000, micros % 1_000);
        call.key(ask.key);
        call.arg(interval)
            .arg(ask.quota.burst())
            .arg(u8::from(ask.enforce));
        count += 1;
    }
    (call, count)
}

/// What the numbers say. None if they are not those of `count` limits.
pub(super) fn verdicts(numbers: &[i64], count: usize) -> Option<Vec<Verdict>> {
    let (chunks, rest) = numbers.as_chunks::<NUMBERS>();
    if chunks.len() != count || !rest.is_empty() {
        return None;
    }
    let micros = |number: i64| Duration::from_micros(u64::try_from(number).unwrap_or(0));
    let verdict = |&[admitted, remaining, retry_after, reset]: &[i64; NUMBERS]| Verdict {
        admitted: admitted == 1,
        remaining: u32::try_from(remaining).unwrap_or(0),
        retry_after: micros(retry_after),
        reset: micros(reset),
    };
    Some(chunks.iter().map(verdict).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_numbers_a_limit_are_read_and_anything_else_is_refused() {
        let read = verdicts(&[1, 2, 0, 1_500_000, 0, 0, 250, 9], 2).unwrap();

        assert!(read[0].admitted && !read[1].admitted);
        assert_eq!(read[0].remaining, 2);
        assert_eq!(read[0].reset, Duration::from_millis(1_500));
        assert_eq!(read[1].retry_after, Duration::from_micros(250));
        assert_eq!(verdicts(&[1, 2, 3], 1), None);
        assert_eq!(verdicts(&[1, 2, 3, 4], 2), None);
        assert_eq!(verdicts(&[], 1), None);
    }
}
