import CoreLocation
import Tauri

/// The place, as Core Location tells it, for as long as this is kept. On the main thread only.
final class Places: NSObject, CLLocationManagerDelegate {
  private let manager = CLLocationManager()
  private let tell: (JsonObject) -> Void

  init(tell: @escaping (JsonObject) -> Void) {
    self.tell = tell
    super.init()
    manager.desiredAccuracy = kCLLocationAccuracyBest
    // Tells at once whether it is allowed.
    manager.delegate = self
    manager.requestWhenInUseAuthorization()
  }

  func stop() {
    manager.stopUpdatingLocation()
    manager.delegate = nil
  }

  func locationManagerDidChangeAuthorization(_ manager: CLLocationManager) {
    switch manager.authorizationStatus {
    case .notDetermined:
      break
    case .denied, .restricted:
      manager.stopUpdatingLocation()
      tell(["type": "denied"])
    default:
      tell(["type": "searching"])
      manager.startUpdatingLocation()
    }
  }

  func locationManager(_ manager: CLLocationManager, didUpdateLocations locations: [CLLocation]) {
    // The newest stands last; an accuracy below zero says that it is none.
    guard let location = locations.last, location.horizontalAccuracy >= 0 else { return }
    tell([
      "type": "reading",
      "lat": location.coordinate.latitude,
      "lon": location.coordinate.longitude,
      "accuracy": location.horizontalAccuracy,
    ])
  }

  func locationManager(_ manager: CLLocationManager, didFailWithError error: Error) {
    switch (error as? CLError)?.code {
    case .locationUnknown?:
      // There may be one later.
      break
    case .denied?:
      tell(["type": "denied"])
    default:
      tell(["type": "failed", "message": error.localizedDescription])
    }
  }
}
