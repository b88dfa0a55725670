//! Events that start workflows.

use serde_json::{Value, json};

use crate::github::tests::{ask, fake};

#[test]
fn an_event_is_recorded_with_its_payload() {
    let mut fake = fake();
    let payload = json!({"release_tag": "buildkit-v0.33.0-riscv64"});
    let body = json!({"event_type": "buildkit-released", "client_payload": payload});
    assert_eq!(ask(&mut fake, "POST", "dispatches", &body), (204, Value::Null));
    assert_eq!(fake.events(), [("buildkit-released".to_owned(), payload)]);
    let refused = [
        json!({"client_payload": {}}),
        json!({"event_type": "x".repeat(101)}),
        json!({"event_type": "x", "client_payload": (0..11).map(|n| (n.to_string(), n.into())).collect::<serde_json::Map<_, _>>()}),
        json!({"event_type": "x", "inputs": {}}),
    ];
    for body in &refused {
        assert_eq!(ask(&mut fake, "POST", "dispatches", body).0, 422, "{body}");
    }
    assert_eq!((fake.events().len(), fake.violations().len()), (1, refused.len()));
}
