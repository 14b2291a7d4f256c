//! How many questions are worked on at a time, and for how long.

use super::reply::Refused;
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Questions that are worked on at a time: what they take, requests lack.
const QUESTIONS_MAX: usize = 2;
/// How long one more waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(2);
/// How long an answer may take. The admin listener gives a connection 15 s.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The places of questions. Clones share them.
#[derive(Clone)]
pub(super) struct Questions(Arc<Semaphore>);

impl Default for Questions {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(QUESTIONS_MAX)))
    }
}

impl Questions {
    /// Works out an answer where nothing waits for the processor.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let turn = timeout(TURN_MAX, Arc::clone(&self.0).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let message = "two questions are being worked on; try again";
            let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, message);
            return Err(refused.retry_after(1));
        };
        let work = tokio::task::spawn_blocking(move || {
            let answer = question();
            // Held until the work is done, even when its asker has left.
            drop(turn);
            answer
        });
        match timeout(ANSWER_MAX, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_panicked)) => {
                let message = "the question could not be worked out";
                Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, message))
            }
            Err(_elapsed) => {
                let message = "it took longer than 10 s; ask for a shorter time or more exactly";
                Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_question_more_than_places_is_told_to_come_again() {
        let questions = Questions::default();
        let places = questions.0.try_acquire_many(2).unwrap();

        let refused = questions.work(|| ()).await.unwrap_err();

        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.retry_after, Some(1));
        drop(places);
        assert!(questions.work(|| ()).await.is_ok());
    }

    #[tokio::test]
    async fn a_question_that_panics_gives_its_place_back() {
        let questions = Questions::default();
        for _ in 0..3 {
            let refused = questions.work(|| panic!("within a question")).await;
            let refused: Refused = refused.map(|(): ()| ()).unwrap_err();
            assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_eq!(questions.0.available_permits(), 2);
    }
}
