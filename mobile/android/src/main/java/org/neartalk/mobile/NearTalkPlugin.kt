package org.neartalk.mobile

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.provider.Settings
import androidx.core.content.ContextCompat
import app.tauri.annotation.Command
import app.tauri.annotation.InvokeArg
import app.tauri.annotation.Permission
import app.tauri.annotation.PermissionCallback
import app.tauri.annotation.TauriPlugin
import app.tauri.plugin.Channel
import app.tauri.plugin.Invoke
import app.tauri.plugin.JSObject
import app.tauri.plugin.Plugin

@InvokeArg
class WatchArgs {
    lateinit var channel: Channel
}

@InvokeArg
class UnwatchArgs {
    var id: Long = 0
}

@InvokeArg
class VoiceArgs {
    lateinit var title: String
    lateinit var text: String
}

/** What the shell calls; each command hands over and answers. */
@TauriPlugin(
    permissions = [
        Permission(
            strings = [
                Manifest.permission.ACCESS_FINE_LOCATION,
                Manifest.permission.ACCESS_COARSE_LOCATION,
            ],
            alias = "location",
        ),
        Permission(strings = [Manifest.permission.RECORD_AUDIO], alias = "microphone"),
    ],
)
class NearTalkPlugin(private val activity: Activity) : Plugin(activity) {
    private val places = Places(activity)
    private val callAudio = CallAudio(activity)

    /** Tells the place on a channel from now on, after asking the person where that has not been done. */
    @Command
    fun watchLocation(invoke: Invoke) {
        if (places.isAllowed()) {
            beginWatch(invoke)
        } else {
            requestPermissionForAlias("location", invoke, "locationAnswered")
        }
    }

    @PermissionCallback
    fun locationAnswered(invoke: Invoke) = beginWatch(invoke)

    private fun beginWatch(invoke: Invoke) {
        val channel = invoke.parseArgs(WatchArgs::class.java).channel
        places.watch(channel.id, channel::send)
        invoke.resolve()
    }

    @Command
    fun unwatchLocation(invoke: Invoke) {
        places.unwatch(invoke.parseArgs(UnwatchArgs::class.java).id)
        invoke.resolve()
    }

    @Command
    fun askMicrophone(invoke: Invoke) {
        if (mayRecord()) {
            microphoneAnswered(invoke)
        } else {
            requestPermissionForAlias("microphone", invoke, "microphoneAnswered")
        }
    }

    @PermissionCallback
    fun microphoneAnswered(invoke: Invoke) {
        val answer = JSObject()
        answer.put("microphone", if (mayRecord()) "granted" else "denied")
        invoke.resolve(answer)
    }

    private fun mayRecord(): Boolean {
        val leave = ContextCompat.checkSelfPermission(activity, Manifest.permission.RECORD_AUDIO)
        return leave == PackageManager.PERMISSION_GRANTED
    }

    /** A call begins; the activity is visible now, without which a service could not have the microphone. */
    @Command
    fun beginVoice(invoke: Invoke) {
        val args = invoke.parseArgs(VoiceArgs::class.java)
        callAudio.begin()
        // Without leave to record, one listens, and Android stops that when the screen goes dark.
        if (mayRecord()) {
            VoiceService.start(activity, args.title, args.text)
        }
        invoke.resolve()
    }

    @Command
    fun endVoice(invoke: Invoke) {
        VoiceService.stop(activity)
        callAudio.end()
        invoke.resolve()
    }

    @Command
    fun openSettings(invoke: Invoke) {
        val app = Uri.fromParts("package", activity.packageName, null)
        activity.startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app))
        invoke.resolve()
    }
}
