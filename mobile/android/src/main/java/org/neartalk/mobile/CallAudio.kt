package org.neartalk.mobile

import android.content.Context
import android.media.AudioAttributes
import android.media.AudioDeviceInfo
import android.media.AudioFocusRequest
import android.media.AudioManager
import android.os.Build

/** Sound as in a call: the phone's echo canceller, the call's volume, and other apps' sound held back. */
class CallAudio(context: Context) {
    private val audio = context.getSystemService(Context.AUDIO_SERVICE) as AudioManager
    private var modeBefore: Int? = null
    private var focus: AudioFocusRequest? = null

    fun begin() {
        if (modeBefore != null) return
        modeBefore = audio.mode
        val attributes = AudioAttributes.Builder()
            .setUsage(AudioAttributes.USAGE_VOICE_COMMUNICATION)
            .setContentType(AudioAttributes.CONTENT_TYPE_SPEECH)
            .build()
        focus = AudioFocusRequest.Builder(AudioManager.AUDIOFOCUS_GAIN)
            .setAudioAttributes(attributes)
            .build()
            .also(audio::requestAudioFocus)
        audio.mode = AudioManager.MODE_IN_COMMUNICATION
        loudUnlessWorn()
    }

    fun end() {
        val before = modeBefore ?: return
        modeBefore = null
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) {
            audio.clearCommunicationDevice()
        } else {
            setSpeaker(false)
        }
        audio.mode = before
        focus?.let(audio::abandonAudioFocusRequest)
        focus = null
    }

    /** People hold the phone in front of them, not to the ear; a headset goes before the loudspeaker. */
    private fun loudUnlessWorn() {
        if (audio.getDevices(AudioManager.GET_DEVICES_OUTPUTS).any { it.type in WORN }) return
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) {
            audio.availableCommunicationDevices
                .firstOrNull { it.type == AudioDeviceInfo.TYPE_BUILTIN_SPEAKER }
                ?.let(audio::setCommunicationDevice)
        } else {
            setSpeaker(true)
        }
    }

    @Suppress("DEPRECATION")
    private fun setSpeaker(isOn: Boolean) {
        audio.isSpeakerphoneOn = isOn
    }

    private companion object {
        val WORN = setOf(
            AudioDeviceInfo.TYPE_WIRED_HEADSET,
            AudioDeviceInfo.TYPE_WIRED_HEADPHONES,
            AudioDeviceInfo.TYPE_BLUETOOTH_SCO,
            AudioDeviceInfo.TYPE_BLUETOOTH_A2DP,
            AudioDeviceInfo.TYPE_USB_HEADSET,
        )
    }
}
