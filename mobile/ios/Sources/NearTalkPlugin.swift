import AVFoundation
import SwiftRs
import Tauri
import UIKit
import WebKit

struct WatchArgs: Decodable {
  let channel: Channel
}

struct UnwatchArgs: Decodable {
  let id: UInt64
}

/// What the shell calls; each command hands over and answers.
class NearTalkPlugin: Plugin {
  /// By the channel that is told. On the main thread only.
  private var watches = [UInt64: Places]()
  private let callAudio = CallAudio()

  /// Tells the place on a channel from now on, after asking the person where that has not been done.
  @objc public func watchLocation(_ invoke: Invoke) throws {
    let channel = try invoke.parseArgs(WatchArgs.self).channel
    // A location manager calls back on the thread that made it, which must have a run loop.
    DispatchQueue.main.async {
      self.watches[channel.id] = Places { told in channel.send(told) }
      invoke.resolve()
    }
  }

  @objc public func unwatchLocation(_ invoke: Invoke) throws {
    let id = try invoke.parseArgs(UnwatchArgs.self).id
    DispatchQueue.main.async {
      self.watches.removeValue(forKey: id)?.stop()
      invoke.resolve()
    }
  }

  @objc public func askMicrophone(_ invoke: Invoke) {
    AVAudioSession.sharedInstance().requestRecordPermission { isGranted in
      invoke.resolve(["microphone": isGranted ? "granted" : "denied"])
    }
  }

  @objc public func beginVoice(_ invoke: Invoke) {
    do {
      try callAudio.begin()
      invoke.resolve()
    } catch {
      invoke.reject(error.localizedDescription)
    }
  }

  @objc public func endVoice(_ invoke: Invoke) {
    callAudio.end()
    invoke.resolve()
  }

  @objc public func openSettings(_ invoke: Invoke) {
    DispatchQueue.main.async {
      guard let settings = URL(string: UIApplication.openSettingsURLString) else {
        return invoke.reject("there are no settings for this app")
      }
      UIApplication.shared.open(settings) { isOpen in
        isOpen ? invoke.resolve() : invoke.reject("the settings could not be opened")
      }
    }
  }
}

@_cdecl("init_plugin_neartalk_mobile")
func initPlugin() -> Plugin {
  return NearTalkPlugin()
}
