import AVFoundation

/// Sound as in a call: the phone's echo canceller, and on while the screen is dark (the app's
/// `Info.plist` has to name `audio` among its background modes).
final class CallAudio {
  private let session = AVAudioSession.sharedInstance()

  func begin() throws {
    // People hold the phone in front of them, not to the ear; a headset goes before the loudspeaker.
    try session.setCategory(
      .playAndRecord, mode: .voiceChat, options: [.allowBluetooth, .defaultToSpeaker])
    try session.setActive(true)
  }

  func end() {
    // Another session may be using the hardware; then it stays as it is.
    try? session.setActive(false, options: .notifyOthersOnDeactivation)
  }
}
