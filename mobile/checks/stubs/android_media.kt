// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.media

class AudioAttributes {
    class Builder {
        fun setUsage(usage: Int): Builder = this
        fun setContentType(type: Int): Builder = this
        fun build(): AudioAttributes = TODO()
    }

    companion object {
        const val USAGE_VOICE_COMMUNICATION = 2
        const val CONTENT_TYPE_SPEECH = 1
    }
}

class AudioFocusRequest {
    class Builder(gain: Int) {
        fun setAudioAttributes(attributes: AudioAttributes): Builder = this
        fun build(): AudioFocusRequest = TODO()
    }
}

class AudioDeviceInfo {
    val type: Int = 0

    companion object {
        const val TYPE_BUILTIN_SPEAKER = 2
        const val TYPE_WIRED_HEADSET = 3
        const val TYPE_WIRED_HEADPHONES = 4
        const val TYPE_BLUETOOTH_SCO = 7
        const val TYPE_BLUETOOTH_A2DP = 8
        const val TYPE_USB_HEADSET = 22
    }
}

class AudioManager {
    var mode: Int = 0
    val availableCommunicationDevices: List<AudioDeviceInfo> = emptyList()

    @Deprecated("deprecated in API level 34")
    var isSpeakerphoneOn: Boolean = false

    fun getDevices(flags: Int): Array<AudioDeviceInfo> = TODO()
    fun setCommunicationDevice(device: AudioDeviceInfo): Boolean = TODO()
    fun clearCommunicationDevice() = Unit
    fun requestAudioFocus(request: AudioFocusRequest): Int = TODO()
    fun abandonAudioFocusRequest(request: AudioFocusRequest): Int = TODO()

    companion object {
        const val MODE_IN_COMMUNICATION = 3
        const val AUDIOFOCUS_GAIN = 1
        const val GET_DEVICES_OUTPUTS = 2
    }
}
