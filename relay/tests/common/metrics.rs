//! Reading what a relay measures.

use super::Api;

/// What `/metrics` says: Prometheus' text format.
pub struct Metrics(pub String);

impl Metrics {
    /// Asks an admin listener.
    pub async fn read(admin: &Api) -> Self {
        let answer = admin.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self(answer.text)
    }

    /// Sum over every series of the metric `name` whose labels contain each of `labels`
    /// (`key="value"`), and `None` when there is no such series.
    pub fn get(&self, name: &str, labels: &[&str]) -> Option<f64> {
        self.0
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| {
                let (metric, rest) = series.split_once('{').unwrap_or((series, ""));
                metric == name && labels.iter().all(|label| rest.contains(label))
            })
            .map(|(_, value)| value.parse::<f64>().unwrap())
            .reduce(|a, b| a + b)
    }

    /// The same, where a series that has never been counted is 0.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.get(name, labels).unwrap_or(0.0)
    }
}
